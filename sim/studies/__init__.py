"""Studies: published experiments as data, so that one command repeats them and compares.

A study says which points it has, on what system each is run, and under what load. ``run`` simulates points,
``points`` reads and writes them as tables, ``report`` sums up how far off they are, ``ablation`` shows what each
mechanism does. What studies share is beside them.
"""
