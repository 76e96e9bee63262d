"""A CPU in place of a GPU, behind the same seam."""
