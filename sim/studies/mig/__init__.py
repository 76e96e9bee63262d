"""Inference on MIG instances of an A100-80, as ParvaGPU (SC '24) measured it: points predicted from a few of them."""
