"""Studies of many runs: points, processes or a cluster, and one table of what came out."""
