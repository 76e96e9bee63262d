"""Kernels in CUDA C, and what their launches must be like."""
