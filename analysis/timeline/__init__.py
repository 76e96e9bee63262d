"""A run as a timeline that Perfetto opens: tracks, slices, arrows and counters in the Chrome trace event format."""
