"""The graphs of the KaaS benchmarks as their authors ran them (arXiv 2212.08146, NathanTP/kaasBenchmarks, July 2022).

For simulating what the authors measured: launches, buffers and bytes are theirs, of kernels by TVM and CUTLASS. The
project has no sources of these kernels, so a replay refuses the graphs; it runs the project's own kernels instead.

Counts and bytes are the authors'. What they don't give (the work of each launch, grids of TVM's kernels) follows from
the networks; each builder says what had to be assumed. Names are those of the calibration ``v100-kaas``.
"""
