"""Stands for CuPy on a machine with a GPU, for rehearsals without one: put the folder above into PYTHONPATH."""
