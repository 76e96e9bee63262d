"""In front of SimPy: a machine without it."""

raise ModuleNotFoundError("No module named 'simpy'", name="simpy")
