"""Figures of data sets: each draws a table of ``analysis.series``, and nothing else."""
