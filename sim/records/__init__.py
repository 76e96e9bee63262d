"""What a run leaves behind: its tables, summary and manifest, and the log of its decisions."""
