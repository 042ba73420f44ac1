"""Deep Q-Networks from one command line."""

from dqn_cli.openblas import prefer_avx512

__version__ = "0.1.0"

prefer_avx512()
