"""Kernel-as-a-Service (Pemberton et al., arXiv 2212.08146): its experiments, its points and its command."""
