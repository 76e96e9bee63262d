"""Readers of public data sets, one a file; what daily tables have in common is in ``daily*``."""
