"""Shortest remaining time: each decision against the literal rule, in the simulator, which alone can preempt.

A kernel takes 0.25 s, and expectations are quarters of seconds, right or wrong.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.compose import assemble, simulate_into
from sim.dispatcher import Dispatcher
from sim.errors import ScenarioError
from sim.policies import make_policy
from sim.policies.srpt import ShortestRemaining
from sim.protocol import Arrival, Finished, Outcome, Preempt, Run, Start, WorkerReady, WorkerStopped
from sim.records.decisions import check_decisions
from sim.scenario import FleetSettings
from sim.streams import Stream, generator
from sim.workload import Workload
from tests.contract.scripted import FixedCosts
from tests.sim.engine.by_script import GPU, function
from tests.sim.policies.literal.srpt import LiteralRemaining
from tests.support import ListTrace, scripted_fleet

N_FUNCTIONS = 4
N_KERNELS = (1, 2, 5, 12)
RIGHT = [n / 4 for n in N_KERNELS]
ARRIVALS = st.lists(
    st.tuples(st.integers(0, 40).map(lambda n: n / 8), st.integers(0, N_FUNCTIONS - 1)), min_size=1, max_size=30
).map(sorted)
EXPECTED = st.one_of(
    st.just(RIGHT), st.lists(st.integers(1, 16).map(lambda n: n / 4), min_size=N_FUNCTIONS, max_size=N_FUNCTIONS)
)


class Misled(ShortestRemaining):
    """Is told other expectations."""

    def __init__(self, ageing, expected_s):
        super().__init__(ageing)
        self.expected_s = expected_s

    def reset(self, fleet, functions, costs, rng):
        super().reset(fleet, functions, FixedCosts(self.expected_s), rng)


def simulated(ageing, arrivals, n_gpus, expected_s):
    """The log of a run, and the instants at which invocations were done."""
    trace = ListTrace([t for t, _ in arrivals], [f for _, f in arrivals], [1.0] * len(arrivals), N_FUNCTIONS)
    served = tuple(function(i, n) for i, n in enumerate(N_KERNELS))
    workload = Workload(trace, served, own_durations=False)
    inputs = assemble(workload, Misled(ageing, expected_s), GPU, FleetSettings(gpus=n_gpus))
    log = []
    with TemporaryDirectory() as directory:
        _, ending = simulate_into(Path(directory), inputs, lambda now_s, event, done: log.append((now_s, event, done)))
    assert ending.failure is None
    literal, rng = LiteralRemaining(ageing), generator(0, Stream.POLICY)
    fresh = Dispatcher(literal, inputs.fleet, served, FixedCosts(expected_s), rng)
    assert check_decisions([(now_s, event, list(done)) for now_s, event, done in log], fresh) == len(log)
    ended = {e.invocation: t for t, e, _ in log if isinstance(e, Finished) and e.outcome is Outcome.OK}
    assert len(ended) == len(arrivals)
    return log, ended


@given(ARRIVALS, st.integers(1, 3), st.sampled_from([0.0, 0.5]), EXPECTED)
def test_each_decision_is_that_of_the_literal_rule(arrivals, n_gpus, ageing, expected_s):
    simulated(ageing, arrivals, n_gpus, expected_s)


def test_a_shorter_one_preempts_at_the_end_of_a_kernel_and_the_longer_goes_on():
    log, ended = simulated(0.0, [(0.0, 3), (0.3, 0)], 1, RIGHT)
    orders = [(now_s, type(order).__name__) for now_s, _, done in log for order in done]
    assert orders == [(0.0, "Run"), (0.3, "Preempt"), (0.5, "Run"), (0.75, "Run")]
    assert ended == {1: 0.75, 0: 3.25}, "nothing is done twice"


def test_one_that_has_less_left_is_not_preempted():
    log, _ = simulated(0.0, [(0.0, 3), (2.75, 1), (2.75, 0)], 1, RIGHT)
    assert not any(isinstance(order, Preempt) for _, _, done in log for order in done)
    assert [order.invocation for _, _, done in log for order in done if isinstance(order, Run)] == [0, 2, 1]


def test_with_ageing_long_ones_do_not_starve():
    """A stream of short ones that fill the GPU: without ageing the long one is last, with it it is not."""
    arrivals = [(0.0, 2), *[(0.25 * i, 0) for i in range(20)]]
    ends = [simulated(ageing, sorted(arrivals), 1, RIGHT)[1] for ageing in (0.0, 1.0)]
    long = next(i for i, (_, f) in enumerate(sorted(arrivals)) if f == 2)
    assert ends[0][long] == max(ends[0].values())
    assert ends[1][long] < max(ends[1].values())


def told(n_gpus, events):
    """The answers of a policy to (instant, event), where functions take 10, 1, 0.5 and 7 s."""
    policy = ShortestRemaining()
    costs = FixedCosts([10.0, 1.0, 0.5, 7.0])
    policy.reset(scripted_fleet(n_gpus), [function(i) for i in range(4)], costs, generator(0, Stream.POLICY))
    workers = dict.fromkeys(range(n_gpus))
    answers = []
    for now_s, event in events:
        if isinstance(event, WorkerStopped):
            del workers[event.worker]
        answers.append([*policy.on_event(now_s, event, SimpleNamespace(workers=workers))])
    return answers


STOPPED = Outcome.PREEMPTED


def test_what_began_again_elsewhere_has_lost_what_it_had_done():
    """0 had 6 s left on executor 0, and goes to 1; there it is preempted, too. On 0 then 4 is shorter."""
    events = [
        (0.0, Arrival(0, 0)), (0.0, Arrival(1, 0)), (4.0, Arrival(2, 1)), (4.0, Finished(0, 0, STOPPED)),
        (4.5, Finished(1, 1)), (4.6, Arrival(3, 2)), (4.6, Finished(0, 1, STOPPED)), (4.7, Arrival(4, 3)),
        (5.0, Finished(2, 0)),
    ]  # fmt: skip
    assert told(2, events) == [
        [Run(0, 0)], [Run(1, 1)], [Preempt(0)], [Run(2, 0)], [Run(0, 1)], [Preempt(1)], [Run(3, 1)], [], [Run(4, 0)],
    ]  # fmt: skip


def test_what_was_lost_and_comes_again_is_a_new_arrival():
    """0 was preempted once, and is lost when it runs again; 3, which came before it came again, goes first."""
    events = [
        (0.0, Arrival(0, 0)), (4.0, Arrival(2, 1)), (4.0, Finished(0, 0, STOPPED)), (5.0, Finished(2, 0)),
        (6.0, WorkerStopped(0, died=True)), (6.0, Finished(0, 0, Outcome.FAILED)), (7.0, Arrival(3, 0)),
        (7.0, Arrival(0, 0)), (8.0, WorkerReady(1, 0)),
    ]  # fmt: skip
    assert told(1, events) == [
        [Run(0, 0)], [Preempt(0)], [Run(2, 0)], [Run(0, 0)], [Start(1, 0)], [], [], [], [Run(3, 1)],
    ]  # fmt: skip


def test_a_wrong_ageing_is_refused():
    with pytest.raises(ScenarioError, match=r"ageing is -1\.0, must be at least 0"):
        make_policy("srpt[ageing=-1]")
