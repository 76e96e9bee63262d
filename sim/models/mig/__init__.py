"""Multi-Instance GPU (MIG): which instances there are, which fit together, and how fast inference runs on them."""
