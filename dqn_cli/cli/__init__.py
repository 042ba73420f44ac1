"""The commands. Only these files know Hydra or argparse."""
