"""From rows and counts to arrivals in order of time, and the functions that they belong to."""
