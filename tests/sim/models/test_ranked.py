"""Strategies that rank functions, against the same rules as slow as they read: all ranks are looked at each time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.models.buffers import BufferSet
from sim.models.eviction import CachedFunction, make_strategy
from sim.models.eviction.ranked import FEW

N_FUNCTIONS = 5
STEPS = st.lists(st.tuples(st.sampled_from(["use", "use", "evict", "end", "pin"]), st.integers(0, N_FUNCTIONS - 1)))
FACTORS = {"lfu": lambda n, cost: n, "gds": lambda n, cost: cost, "gdsf": lambda n, cost: n * cost}


@pytest.mark.parametrize("name", FACTORS)
@settings(max_examples=300)
@given(STEPS, st.lists(st.tuples(st.integers(1, 4), st.integers(0, 4)), min_size=N_FUNCTIONS, max_size=N_FUNCTIONS))
def test_the_lowest_rank_loses_its_buffers(name, steps, sizes):
    strategy = make_strategy(name)
    functions = [CachedFunction(i, BufferSet([size], [min(load, size)])) for i, (size, load) in enumerate(sizes)]
    ranks: dict[int, tuple[float, int]] = {}  # of those that are there, and when they were last used
    uses: dict[int, int] = {}
    clock = 0.0
    for turn, (step, number) in enumerate(steps):
        function = functions[number]
        if step == "use":
            uses[number] = uses.get(number, 0) + 1
            start = 0.0 if name == "lfu" else clock
            size, load = sizes[number]
            ranks[number] = (start + FACTORS[name](uses[number], min(load, size) / size), turn)
            strategy.used(function)
        elif step == "pin":
            function.pins ^= 1
        elif step == "end" and number in ranks:  # on order
            del ranks[number], uses[number]
            strategy.gone(function)
        elif step == "evict":
            free = {i: rank for i, rank in ranks.items() if not functions[i].pins}
            expected = min(free, key=free.__getitem__, default=None)
            found = strategy.victim()
            assert (None if found is None else found.key) == expected
            if found is not None:
                clock = ranks.pop(expected)[0]
                del uses[expected]
                strategy.gone(found)


def test_memory_does_not_grow_with_uses():
    strategy = make_strategy("gdsf")
    functions = [CachedFunction(i, BufferSet([1], [1])) for i in range(3)]
    for turn in range(1_000):
        strategy.used(functions[turn % 3])
        if turn % 7 == 0:
            strategy.gone(functions[turn % 3])
    assert len(strategy._heap) <= 2 * 3 + FEW
