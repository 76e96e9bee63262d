"""Queueing policies against their literal rules, and by hand where the rules say who goes first.

Instants and durations lie on a coarse grid, so that many things happen at once and floating point is exact.
"""

from __future__ import annotations

from math import ceil, inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import ScenarioError
from sim.policies import make_policy
from sim.protocol import Arrival, Finished, Start, WorkerReady, WorkerStopped
from sim.streams import Stream, generator
from tests.contract.scripted import FLEET_MEMORY_BYTES, FixedCosts, ScriptedWorld
from tests.sim.policies.literal.ch_bl import LiteralHashing
from tests.sim.policies.literal.lalb import LiteralLocality
from tests.sim.policies.literal.least_work import LiteralLeastWork
from tests.sim.policies.literal.mqfq import LiteralMqfq
from tests.sim.policies.literal.paella import LiteralPaella
from tests.sim.policies.literal.power_of_d import LiteralPowerOfD
from tests.sim.policies.literal.ranked import LiteralDeadline, LiteralShortest, LiteralSlack
from tests.sim.policies.literal.round_robin import LiteralRoundRobin
from tests.sim.policies.literal.wfq import LiteralFair
from tests.support import opaque_functions, scripted_fleet

N_FUNCTIONS = 7
Quarters = st.integers(1, 12).map(lambda n: n / 4)
Dues = st.one_of(st.just(inf), st.integers(0, 60).map(lambda n: n / 4))
SCRIPTS = st.lists(
    st.tuples(st.integers(0, 40).map(lambda n: n / 4), st.integers(0, N_FUNCTIONS - 1), Quarters), max_size=60
).map(sorted)
EXPECTED = st.lists(Quarters, min_size=N_FUNCTIONS, max_size=N_FUNCTIONS)


# Of different sizes; a GPU has room for some of the last three.
SERVED = opaque_functions([0, 1, 2, 8, *[FLEET_MEMORY_BYTES * part // 8 for part in (2, 3, 5)]])


def run(policy, n_gpus, script, expected_s=(), due_at_s=()):
    more = {"expected_s": expected_s, "due_at_s": due_at_s, "served": SERVED}
    world = ScriptedWorld(policy, n_gpus, script, N_FUNCTIONS, **more).run()
    assert set(world.ended) == set(range(len(script))), "an invocation has no end"
    return world


def by_hand(name, n_gpus, script, expected_s=(), due_at_s=()):
    """The executor of each invocation, and the order in which they were given away."""
    world = run(make_policy(name), n_gpus, script, expected_s, due_at_s)
    orders = [action for _, _, actions in world.log for action in actions]
    return [world.ran_on[i] for i in range(len(script))], [order.invocation for order in orders]


RULES = [
    ("round-robin", LiteralRoundRobin()),
    ("power-of-d[d=1]", LiteralPowerOfD(1)),
    ("power-of-d", LiteralPowerOfD(2)),
    ("power-of-d[d=9]", LiteralPowerOfD(9)),
    ("least-work", LiteralLeastWork()),
    ("ch-bl", LiteralHashing()),
    ("ch-bl[load=3,nodes=1]", LiteralHashing(3.0, 1)),
    ("sjf", LiteralShortest(0.0)),
    ("sjf[ageing=0.5]", LiteralShortest(0.5)),
    ("edf", LiteralDeadline(inf)),
    ("edf[default_s=2.5]", LiteralDeadline(2.5)),
    ("least-slack", LiteralSlack(inf)),
    ("least-slack[default_s=2.5]", LiteralSlack(2.5)),
    ("wfq", LiteralFair()),
    ("wfq[favoured=2,weight=4]", LiteralFair(2, 4.0)),
    ("paella", LiteralPaella()),
    ("paella[threshold=1]", LiteralPaella(1.0)),
    ("paella[threshold=0]", LiteralPaella(0.0)),
    ("lalb", LiteralLocality()),
    ("lalb[skips=2,bandwidth=4,held=3]", LiteralLocality(2, 4.0, 3)),
    ("lalb[skips=0,bandwidth=2]", LiteralLocality(0, 2.0)),
    ("mqfq", LiteralMqfq()),
    ("mqfq[overrun=1.25,d=2,held=2]", LiteralMqfq(1.25, d=2, held=2)),
    ("mqfq[overrun=0]", LiteralMqfq(0.0)),
    ("mqfq[overrun=2,service=1.5,choice=least]", LiteralMqfq(2.0, 1.5, choice="least")),
    ("mqfq[overrun=2,choice=same,d=2]", LiteralMqfq(2.0, choice="same", d=2)),
    ("mqfq-sticky", LiteralMqfq(5.0, d=2, select=20, choice="select_out_len")),
    ("mqfq-sticky[overrun=1.25,select=3]", LiteralMqfq(1.25, d=2, select=3, choice="select_out_len")),
    (
        "mqfq-sticky[overrun=0.5,service=1,select=0,d=1]",
        LiteralMqfq(0.5, 1.0, d=1, select=0, choice="select_out_len"),
    ),
]


@pytest.mark.parametrize(("name", "literal"), RULES, ids=[name for name, _ in RULES])
@given(SCRIPTS, st.integers(1, 5), EXPECTED, st.data())
def test_each_decision_is_that_of_the_literal_rule(name, literal, script, n_gpus, expected_s, data):
    due_at_s = data.draw(st.lists(Dues, min_size=len(script), max_size=len(script)))
    ours = run(make_policy(name), n_gpus, script, expected_s, due_at_s)
    assert ours.log == run(literal, n_gpus, script, expected_s, due_at_s).log


@settings(max_examples=200)
@given(SCRIPTS, st.integers(1, 5), EXPECTED)
def test_with_exact_expectations_least_work_begins_all_as_one_queue_does(script, n_gpus, expected_s):
    exact = [(at_s, function, expected_s[function]) for at_s, function, _ in script]
    ends = [run(make_policy(name), n_gpus, exact, expected_s).ended for name in ("least-work", "balance")]
    assert ends[0] == ends[1]


@given(SCRIPTS, st.integers(1, 5))
def test_without_deadlines_or_differences_the_central_queues_are_balance(script, n_gpus):
    balance = run(make_policy("balance"), n_gpus, script).log
    for name in ("sjf", "edf", "least-slack"):
        assert run(make_policy(name), n_gpus, script).log == balance


def test_round_robin_takes_turns_whatever_they_have():
    ran_on, _ = by_hand("round-robin", 3, [(0.0, 0, 9.0), (1.0, 0, 1.0), (2.0, 0, 1.0), (8.0, 0, 1.0), (8.5, 0, 1.0)])
    assert ran_on == [0, 1, 2, 0, 1]


def test_power_of_all_joins_the_shortest_queue():
    ran_on, _ = by_hand("power-of-d[d=9]", 4, [(0.0, 0, 30.0)] * 3 + [(1.0 + i, 0, 0.5) for i in range(20)])
    assert len(set(ran_on[:3])) == 3
    assert len(set(ran_on[3:])) == 1, "the one that is idle again"


def test_ties_of_power_of_d_are_uniform():
    ran_on, _ = by_hand("power-of-d[d=4]", 4, [(float(i), 0, 0.25) for i in range(2000)])
    for worker in range(4):
        assert ran_on.count(worker) == pytest.approx(500, abs=4 * (2000 * 0.25 * 0.75) ** 0.5)


def test_least_work_prefers_two_short_ones_to_a_long_one_and_then_the_lower_device():
    expected_s = [4.0, 1.0] + [1.0] * 5
    script = [(0.0, 0, 4.0), (0.0, 1, 1.0), (0.0, 1, 1.0), (0.0, 1, 1.0), (1.0, 1, 1.0), (6.0, 1, 1.0)]
    assert by_hand("least-work", 2, script, expected_s)[0] == [0, 1, 1, 1, 1, 0]


def test_of_an_overdue_one_nothing_is_left():
    """Device 0 expects to be done at 1 and is not; at 3 it has no work for all that is known, a tie with device 1."""
    script = [(0.0, 0, 9.0), (0.0, 1, 2.0), (3.0, 1, 2.0)]
    assert by_hand("least-work", 2, script, [1.0, 2.0] + [1.0] * 5)[0] == [0, 1, 0]


def test_the_shortest_goes_first_until_waiting_counts():
    expected_s = [1.0, 5.0] + [1.0] * 5
    script = [(0.0, 0, 10.0), (1.0, 1, 1.0), (9.0, 0, 1.0), (9.5, 0, 1.0)]
    assert by_hand("sjf", 1, script, expected_s)[1] == [0, 2, 3, 1]
    assert by_hand("sjf[ageing=0.5]", 1, script, expected_s)[1] == [0, 1, 2, 3]


def test_what_has_no_deadline_is_last_unless_it_is_given_one():
    script = [(0.0, 0, 10.0), (1.0, 1, 1.0), (2.0, 0, 1.0), (3.0, 0, 1.0)]
    due_at_s = [inf, inf, 30.0, 20.0]
    assert by_hand("edf", 1, script, due_at_s=due_at_s)[1] == [0, 3, 2, 1]
    assert by_hand("edf[default_s=24]", 1, script, due_at_s=due_at_s)[1] == [0, 3, 1, 2]


def test_slack_counts_what_is_still_to_do():
    script = [(0.0, 0, 10.0), (1.0, 0, 1.0), (2.0, 1, 1.0)]
    due = [inf, 20.0, 22.0]
    expected_s = [1.0, 5.0] + [1.0] * 5
    assert by_hand("edf", 1, script, expected_s, due)[1] == [0, 1, 2]
    assert by_hand("least-slack", 1, script, expected_s, due)[1] == [0, 2, 1]


@given(SCRIPTS, st.integers(1, 5), st.sampled_from([1.01, 1.25, 3.0]))
def test_no_executor_has_more_than_its_bound_and_functions_stay_at_home_while_there_is_room(script, n_gpus, load):
    loads, homes, n_given = [0] * n_gpus, {}, 0
    for _, event, actions in run(make_policy(f"ch-bl[load={load}]"), n_gpus, script).log:
        if isinstance(event, Finished):
            loads[event.worker] -= 1
            n_given -= 1
        for order in actions:
            n_given += 1
            bound = ceil(load * n_given / n_gpus)
            home = homes.setdefault(event.function, order.worker) if n_given == 1 else homes.get(event.function)
            assert home in (None, order.worker) or loads[home] >= bound
            loads[order.worker] += 1
            assert loads[order.worker] <= bound


def test_hashing_moves_only_what_was_on_the_executor_that_is_gone():
    """Of 200 functions on 5 devices; all come back when their home does."""
    policy = make_policy("ch-bl[load=1000]")
    policy.reset(scripted_fleet(5), opaque_functions([0] * 200), FixedCosts([1.0] * 200), generator(0, Stream.POLICY))

    def homes():
        return [policy.on_event(0.0, Arrival(f, f), None)[0].worker for f in range(200)]

    before = homes()
    assert set(before) == set(range(5))
    assert policy.on_event(1.0, WorkerStopped(2, died=True), None) == (Start(5, 2),)
    assert all(now == then or then == 2 for now, then in zip(homes(), before, strict=True))
    assert 2 not in homes()
    assert policy.on_event(2.0, WorkerReady(5, 2), None) == []
    assert [5 if worker == 2 else worker for worker in before] == homes()


def test_what_a_lost_executor_had_counts_no_more():
    """Of 6 the home has 4. It is lost and replaced; the other has 2, so the next 5 make 7, of which 4 may be there."""
    policy = make_policy("ch-bl[load=1.01]")
    policy.reset(scripted_fleet(2), opaque_functions([0]), FixedCosts([1.0]), generator(0, Stream.POLICY))
    ran_on = [policy.on_event(0.0, Arrival(i, 0), None)[0].worker for i in range(6)]
    home = ran_on[0]
    assert ran_on.count(home) == 4
    policy.on_event(1.0, WorkerStopped(home, died=True), None)
    policy.on_event(2.0, WorkerReady(2, home), None)
    assert [policy.on_event(3.0, Arrival(i, 0), None)[0].worker for i in range(6, 11)] == [2, 2, 2, 2, 1 - home]


def test_paella_serves_the_shortest_until_another_was_passed_over_often_enough():
    """With two functions queued a choice gives the other half: it is at 1.5 after three, and at 1 once it is served."""
    expected_s = [1.0, 5.0] + [1.0] * 5
    script = [(0.0, 2, 1.0)] + [(0.0, 1, 1.0)] * 2 + [(0.0, 0, 1.0)] * 6
    assert by_hand("paella[threshold=1.5]", 1, script, expected_s)[1] == [0, 3, 4, 5, 1, 6, 2, 7, 8]
    assert by_hand("paella[threshold=1e6]", 1, script, expected_s) == by_hand("sjf", 1, script, expected_s)


@given(SCRIPTS, st.integers(1, 5), EXPECTED)
def test_with_a_threshold_that_is_never_reached_paella_is_shortest_first_by_function(script, n_gpus, expected_s):
    """Where no two functions take as long, so that ties between functions don't show."""
    different_s = [second + f / 64 for f, second in enumerate(expected_s)]
    logs = [run(make_policy(name), n_gpus, script, different_s).log for name in ("paella[threshold=1e6]", "sjf")]
    assert logs[0] == logs[1]


def test_a_free_executor_takes_what_it_holds_out_of_order_until_the_head_was_passed_over_often_enough():
    """Executor 0 holds 4, at the end of whose run 5 and then three of 4 are queued."""
    script = [(0.0, 4, 2.0)] + [(1.0, 5, 1.0)] + [(1.0, 4, 1.0)] * 3
    assert by_hand("lalb", 1, script)[1] == [0, 2, 3, 4, 1]
    assert by_hand("lalb[skips=2]", 1, script)[1] == [0, 2, 3, 1, 4]
    assert by_hand("lalb[skips=0]", 1, script)[1] == [0, 1, 2, 3, 4]


def test_the_head_joins_the_busy_executor_that_holds_it_if_that_is_done_before_a_load_is():
    """2 has 2 bytes, of which executor 0 loads one a second, so that it is expected to be done at 5, or a bit sooner:
    at 3 that is as long as a load, or less."""
    script = [(0.0, 2, 9.0), (3.0, 2, 1.0)]
    for expected_s, ran_on in ((3.0, [0, 1]), (2.75, [0, 0])):
        assert by_hand("lalb[bandwidth=1]", 2, script, [1.0, 1.0, expected_s] + [1.0] * 4)[0] == ran_on


def test_an_arrival_goes_to_the_free_executor_that_holds_it():
    script = [(0.0, 4, 1.0), (0.0, 5, 1.0), (5.0, 5, 1.0), (7.0, 4, 1.0), (9.0, 6, 1.0)]
    assert by_hand("lalb", 2, script)[0] == [0, 1, 1, 0, 1], "the last goes to that which has been free longest"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("power-of-d[d=0]", "d is 0, must be at least 1"),
        ("sjf[ageing=-1]", "ageing is -1.0, must be at least 0"),
        ("sjf[ageing=nan]", "ageing is nan, must be at least 0"),
        ("edf[default_s=-1]", "default_s is -1.0, must be at least 0"),
        ("least-slack[default_s=-1]", "default_s is -1.0, must be at least 0"),
        ("ch-bl[load=1]", "load is 1.0, must be above 1"),
        ("ch-bl[nodes=0]", "nodes is 0, must be at least 1"),
        ("paella[threshold=-1]", "threshold is -1.0, must be at least 0"),
        ("lalb[skips=-1]", "skips is -1, must be at least 0"),
        ("lalb[bandwidth=0]", "bandwidth is 0.0, must be above 0"),
        ("lalb[held=0]", "held is 0, must be at least 1"),
    ],
)
def test_a_wrong_parameter_is_refused_with_the_rule(text, complaint):
    with pytest.raises(ScenarioError, match=complaint):
        make_policy(text)
