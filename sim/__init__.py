"""Discrete-event simulator of GPU fleets that serve serverless functions."""

__version__ = "0.1.0"
