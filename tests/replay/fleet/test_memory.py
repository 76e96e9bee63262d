"""What a worker with a part of a device's memory must have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.device.cuda import open_device
from replay.executor.executor import Executor
from replay.executor.sizing import limit_bytes
from replay.fleet.parts import PartCosts
from replay.fleet.seats import CONTEXT_BYTES, context_bytes
from sim.models.layout import ALIGNMENT_BYTES
from sim.protocol import EVERY_FUNCTION, Standing, Start
from tests.contract.scripted import FixedCosts


@given(st.integers(1, 1 << 22))
def test_an_executor_with_the_memory_of_so_many_buffers_has_room_for_them_and_for_little_more(capacity):
    limit = limit_bytes(capacity)
    executor = Executor(open_device("cpu"), memory_limit_bytes=limit)
    assert capacity <= executor.capacity_bytes <= capacity + 3 * ALIGNMENT_BYTES


def test_large_executors_have_a_bounce_buffer_of_one_size():
    assert limit_bytes(60 << 30) == pytest.approx((60 << 30) * 32 / 31 + (8 << 20), abs=4 * ALIGNMENT_BYTES)


def test_a_part_has_a_context_and_what_an_executor_needs():
    costs = FixedCosts([1.0, 2.0], [1 << 20, 5 << 20])
    context = context_bytes({"pci": [0, 0x3B, 0]})
    assert (context, context_bytes({"pci": [None] * 3})) == (CONTEXT_BYTES, 0)
    parts = PartCosts(costs, 2, context, capped=False)
    needs = [context + limit_bytes(size) for size in (1 << 20, 5 << 20)]
    assert [parts.memory_bytes(f) for f in range(2)] == needs
    assert parts.expected_s(1) == 2.0
    for function, need in ((0, needs[0]), (1, needs[1]), (EVERY_FUNCTION, needs[1])):
        assert parts.against(Start(0, 0, function, memory_bytes=need)) == ""
        why = parts.against(Start(0, 0, function, memory_bytes=need - 1))
        assert why == f"a worker of what it serves takes {need:,} bytes here"
    assert parts.against(Standing(0, 0)) == ""


@pytest.mark.parametrize("capped", [False, True])
def test_shares_need_somebody_who_holds_workers_to_them(capped):
    parts = PartCosts(FixedCosts([1.0]), 1, 0, capped=capped)
    assert (parts.against(Start(0, 0, 0, 0.5, memory_bytes=1 << 20)) == "") is capped
