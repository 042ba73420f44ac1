"""The compiled kernels, a file for each thing that they compute; compiled.py lists them."""
