"""A few functions that look like all of them."""
