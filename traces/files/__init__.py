"""Tables in files, of whatever kind, packing and honesty."""
