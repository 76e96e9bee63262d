"""Synthetic traces: what is drawn of functions, when they are invoked, and how it compares with what is published."""
