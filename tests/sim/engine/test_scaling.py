"""The work of an event must not grow with functions, GPUs or waiting invocations, beyond a logarithm.

Counted in executed bytecodes of the brain and the engine, which no machine changes.
"""

from __future__ import annotations

import sys

import numpy as np
import pytest

from sim.policies import make_policy
from tests.support import ELASTIC, ListTrace, ideal, own, simulate

MODULES = ("policies/", "dispatcher.py", "engine/", "models/memory.py")
COUNTED = tuple(f"/sim/{module}" for module in MODULES)
N = 600


def bytecodes_per_invocation(directory, policy, n_functions, n_gpus, load, n=N):
    """Of the second half of a run: what is paid once, at the start, is not counted."""
    rng = np.random.default_rng(1)
    at_s = np.cumsum(rng.exponential(1 / (load * n_gpus), n))
    trace = ListTrace(at_s, rng.integers(0, n_functions, n), rng.exponential(1.0, n), n_functions)
    counted = 0
    begun = False

    def trace_opcodes(frame, event, _):
        nonlocal counted
        if event == "opcode":
            counted += begun
        return trace_opcodes

    def trace_calls(frame, event, _):
        if event != "call" or not any(part in frame.f_code.co_filename for part in COUNTED):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return trace_opcodes

    def log(now_s, event, actions):
        nonlocal begun
        begun = begun or now_s >= at_s[n // 2]

    old = sys.gettrace()
    sys._getframe().f_trace_opcodes = True  # Python 3.12 looks once, in settrace, whether any frame wants opcodes
    sys.settrace(trace_calls)
    try:
        simulate(own(trace), make_policy(policy), directory, gpus=n_gpus, calibration=ideal(), log=log, check=False)
    finally:
        sys.settrace(old)
    assert counted > 0
    return counted / (n / 2)


@pytest.mark.parametrize("policy", ELASTIC)
@pytest.mark.parametrize(
    ("small", "large"),
    [
        pytest.param((10, 4, 0.8), (2000, 4, 0.8), id="functions"),
        pytest.param((50, 2, 0.8), (50, 64, 0.8), id="gpus"),
    ],
)
def test_the_work_of_an_event_does_not_grow(tmp_path, policy, small, large):
    few = bytecodes_per_invocation(tmp_path / "few", policy, *small)
    many = bytecodes_per_invocation(tmp_path / "many", policy, *large)
    # More functions than GPUs cost `exclusive` a start and a stop each, which is the policy, not its bookkeeping.
    assert many < 2.5 * few if policy == "exclusive" else many < 1.5 * few


@pytest.mark.parametrize("policy", ELASTIC)
def test_waiting_invocations_cost_nothing_while_they_wait(tmp_path, policy):
    short = bytecodes_per_invocation(tmp_path / "short", policy, 50, 4, 3.0, n=400)
    long = bytecodes_per_invocation(tmp_path / "long", policy, 50, 4, 3.0, n=3200)
    assert long < 1.3 * short
