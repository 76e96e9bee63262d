"""The terminal: where commands begin, what they say, and how they are interrupted."""
