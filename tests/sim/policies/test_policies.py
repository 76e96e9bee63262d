"""Policies against the literal rules of the KaaS pools, and by hand where the rules say who goes first."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import ScenarioError
from sim.policies import known, make_policy
from sim.policies.placement import assign_devices
from sim.protocol import Run, Start, Stop
from sim.streams import Stream, generator
from tests.contract.scripted import FLEET_MEMORY_BYTES, FixedCosts, ScriptedWorld, functions
from tests.sim.references import LiteralAffinity, LiteralExclusive, affinity_buckets, literal_assignment
from tests.support import ELASTIC, scripted_fleet

# Instants and durations on a coarse grid, so that many events fall on the same instant.
SCRIPTS = st.lists(
    st.tuples(st.integers(0, 40).map(lambda i: i / 4), st.integers(0, 6), st.integers(1, 12).map(lambda i: i / 4)),
    max_size=60,
).map(sorted)


def decisions(policy, n_gpus, script, n_functions=7):
    world = ScriptedWorld(policy, n_gpus, script, n_functions).run()
    assert set(world.ended) == set(range(len(script))), "an invocation has no end"
    return world.log


@given(SCRIPTS, st.integers(1, 5), st.sampled_from([0.0, 0.5, 2.0, 10.0]))
def test_affinity_decides_as_the_literal_rule(script, n_gpus, penalty):
    ours = make_policy(f"affinity[penalty={penalty}]")
    assert decisions(ours, n_gpus, script) == decisions(LiteralAffinity(penalty), n_gpus, script)


@given(SCRIPTS, st.sampled_from([1, 2, 3, 12]))
def test_affinity_with_more_gpus_than_functions(script, n_gpus):
    ours = decisions(make_policy("affinity"), n_gpus, script)
    assert ours == decisions(LiteralAffinity(), n_gpus, script)


@settings(max_examples=300)
@given(SCRIPTS, st.integers(1, 5))
def test_exclusive_decides_as_the_literal_rule(script, n_gpus):
    assert decisions(make_policy("exclusive"), n_gpus, script) == decisions(LiteralExclusive(), n_gpus, script)


@given(SCRIPTS, st.integers(1, 4), st.sampled_from(ELASTIC))
def test_a_decision_log_fed_to_a_fresh_policy_gives_the_same_actions(script, n_gpus, name):
    log = decisions(make_policy(name), n_gpus, script)
    fresh = make_policy(name)
    fresh.reset(scripted_fleet(n_gpus), functions(7), FixedCosts([1.0] * 7), generator(0, Stream.POLICY))
    for now_s, event, actions in log:
        assert list(fresh.on_event(now_s, event, None)) == actions  # no policy so far looks at its view


def test_balance_gives_the_head_to_the_most_recently_freed():
    #        arrivals at 0 take devices 0, 1, 2; they are free again at 3, 1, 2
    script = [(0.0, 0, 3.0), (0.0, 1, 1.0), (0.0, 2, 2.0), (4.0, 3, 1.0), (4.0, 4, 1.0), (4.0, 5, 1.0)]
    world = ScriptedWorld(make_policy("balance"), 3, script, 7).run()
    assert [world.ran_on[i] for i in range(6)] == [0, 1, 2, 0, 2, 1]


def test_least_loaded_counts_queued_and_running_and_then_waits_longest():
    script = [(0.0, 0, 9.0), (0.0, 0, 9.0), (0.0, 0, 1.0), (0.0, 0, 9.0), (2.0, 0, 1.0), (2.0, 0, 1.0)]
    world = ScriptedWorld(make_policy("least-loaded"), 3, script, 1).run()
    assert [world.ran_on[i] for i in range(6)] == [0, 1, 2, 0, 2, 1]


def test_affinity_prefers_the_affine_function_within_the_penalty_only():
    # Devices 0 and 1 are busy until 10; functions 0 and 1 are affine to devices 0 and 1. Function 0 queues 15, function
    # 1 queues 1: device 1 takes function 1 first, then foreign work, since the penalty only ranks.
    script = [(0.0, 2, 10.0), (0.0, 3, 10.0)] + [(1.0, 0, 1.0)] * 15 + [(2.0, 1, 1.0)]
    world = ScriptedWorld(make_policy("affinity"), 2, script, 4).run()
    assert world.ran_on[17] == 1
    assert world.ended[17] == ("completed", 11.0)
    assert {world.ran_on[i] for i in range(2, 17)} == {0, 1}


def test_affinity_is_fair_between_backlogged_functions_of_different_weight():
    n = 400
    script = sorted([(0.0, f, w) for f, w in ((0, 0.25), (1, 0.5), (2, 1.0)) for _ in range(n)])
    policy = make_policy("affinity")
    world = ScriptedWorld(policy, 1, script, 3)
    policy.reset(scripted_fleet(1), functions(3), FixedCosts([0.25, 0.5, 1.0]), np.random.default_rng(0))
    world.run()
    served_s = [sum(w for i, (_, g, w) in enumerate(script) if g == f and world.ended[i][1] <= 90) for f in range(3)]
    assert served_s == pytest.approx([30, 30, 30], abs=1.0)


def test_exclusive_thrashes_when_functions_outnumber_gpus():
    script = [(10.0 * i, i % 3, 1.0) for i in range(12)]
    log = decisions(make_policy("exclusive"), 2, script, 3)
    actions = [a for _, _, acts in log for a in acts]
    assert sum(isinstance(a, Start) for a in actions) == 12, "every invocation is cold"
    assert sum(isinstance(a, Stop) for a in actions) == 10
    assert sum(isinstance(a, Run) for a in actions) == 12


def test_exclusive_keeps_its_workers_when_they_suffice():
    log = decisions(make_policy("exclusive"), 2, [(10.0 * i, i % 2, 1.0) for i in range(12)], 2)
    assert sum(isinstance(a, Start) for _, _, acts in log for a in acts) == 2


def assigned(n_gpus, memory_bytes):
    costs = FixedCosts([1.0] * len(memory_bytes), memory_bytes)
    return affinity_buckets(scripted_fleet(n_gpus), functions(len(memory_bytes)), costs)


@pytest.mark.parametrize(
    ("n_functions", "expected"),
    [
        (1, [[0, 1, 2, 3]]),  # kaas: 1 client -> all 4 GPUs
        (2, [[0, 2], [1, 3]]),
        (3, [[0, 3], [1], [2]]),
        (4, [[0], [1], [2], [3]]),
    ],
)
def test_affinity_assignment_with_few_functions(n_functions, expected):
    of_function, of_device = assigned(4, [10**9] * n_functions)
    assert [[d for d in range(4) if of_device[d] == b] for b in of_function] == expected


@pytest.mark.parametrize(("n_functions", "expected"), [(28, [7, 7, 7, 7]), (29, [8, 7, 7, 7])])
def test_affinity_assignment_is_round_robin_with_equal_functions(n_functions, expected):
    of_function, _ = assigned(4, [2 * 10**9] * n_functions)
    assert [of_function.count(d) for d in range(4)] == expected


EIGHTHS = st.lists(st.integers(1, 10).map(lambda n: n / 8), min_size=1, max_size=40)


@given(st.integers(1, 8), EIGHTHS)
def test_devices_are_assigned_as_the_literal_scan_has_it(n_gpus, shares):
    turns = assign_devices(n_gpus, shares)
    assert [device for device, _ in turns] == literal_assignment(n_gpus, shares)
    used = [0.0] * n_gpus
    for turn, (device, before) in enumerate(turns):
        assert before == used[device]
        used[device] += shares[turn % len(shares)]


def test_a_gpu_with_more_functions_but_more_room_can_win():
    assert [device for device, _ in assign_devices(2, [0.375, 0.125, 0.125, 0.125])] == [0, 1, 1, 1]


def test_affinity_assignment_balances_memory_when_nothing_fits():
    half = FLEET_MEMORY_BYTES // 2
    of_function, _ = assigned(2, [half, half, half // 4, half, half, half])
    assert of_function == [0, 1, 0, 1, 0, 1]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "afinity",
            r"unknown policy 'afinity', did you mean 'affinity'\? Known are affinity, balance,",
        ),
        ("affinity[pen=1]", r"unknown parameter 'pen'; affinity takes penalty"),
        ("affinity[penalty=x]", r"penalty is 'x', must be a number"),
        ("affinity[penalty=]", r"penalty is '=', must be a number"),
        ("affinity[penalty=-1]", r"penalty is -1.0, must be at least 0"),
        ("affinity[penalty=nan]", r"penalty is nan, must be at least 0"),
        ("balance[k=1]", "balance takes no parameters"),
        ("affinity[penalty=1", "must look like NAME or NAME"),
        ("", "must look like NAME or NAME"),
    ],
)
def test_a_wrong_policy_is_refused_with_the_rule(text, complaint):
    with pytest.raises(ScenarioError, match=complaint):
        make_policy(text)


@pytest.mark.parametrize("name", sorted(known()))
def test_describe_gives_the_policy_back(name):
    policy = make_policy(name)
    assert make_policy(policy.describe()) == policy
    assert policy.source
    assert type(policy).__doc__


def test_close_parameters_stay_apart():
    texts = [f"affinity[penalty=0.123456789{i}]" for i in (1, 2)]
    assert [make_policy(t).describe() for t in texts] == texts
