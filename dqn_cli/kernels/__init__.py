"""The arithmetic of a run, compiled for a CPU or by PyTorch; kernels.py says what there is."""
