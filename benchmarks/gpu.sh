#!/usr/bin/env bash
# On a machine with an NVIDIA GPU: CartPole steps/s of 1, 30, 256 and 1024 seeds, GPU against CPU.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
for seeds in 1 30 256 1024; do
  list="[$(seq -s, 1 "$seeds")]"
  for device in cpu cuda; do
    for buffer in uniform per; do
      speed=$("$python" -m benchmarks.ours "seed=$list" "device=$device" "buffer=$buffer" \
        "network.hidden=[64,64]" batch_size=64 steps=500 | tail -1)
      echo "$seeds seeds, $device, $buffer: $speed steps/s"
    done
  done
done
