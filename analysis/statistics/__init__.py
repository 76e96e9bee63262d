"""Intervals, comparisons and their checks: arrays in, frozen objects out. docs/statistics.md has every formula."""
