"""One device: the seam to CUDA, its compiler, its driver, and the ways to share it."""
