"""One page on runs: a file without network access, with figures to explore and tables to sort."""
