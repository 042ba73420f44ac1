"""Speed and memory, as ratios within one run. `python -m benchmarks` runs what README.md lists."""
