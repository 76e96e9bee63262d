"""Shortest remaining time: each decision against the literal rule, in the simulator, which alone can preempt.

A kernel takes 0.25 s, and expectations are quarters of seconds, right or wrong.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.compose import assemble, simulate_into
from sim.dispatcher import Dispatcher
from sim.errors import ScenarioError
from sim.policies import make_policy
from sim.policies.srpt import ShortestRemaining
from sim.protocol import Finished, Outcome, Preempt, Run
from sim.records.decisions import check_decisions
from sim.scenario import FleetSettings
from sim.streams import Stream, generator
from sim.workload import Workload
from tests.contract.scripted import FixedCosts
from tests.sim.engine.by_script import GPU, function
from tests.sim.policies.literal.srpt import LiteralRemaining
from tests.support import ListTrace

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


def test_a_wrong_ageing_is_refused():
    with pytest.raises(ScenarioError, match=r"ageing is -1\.0, must be at least 0"):
        make_policy("srpt[ageing=-1]")
