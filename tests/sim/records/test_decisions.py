"""Decision logs of simulations: a fresh policy gives the same answers; a line that is no entry is refused."""

from __future__ import annotations

import pytest

from sim.compose import assemble
from sim.dispatcher import Dispatcher
from sim.errors import RunError
from sim.policies import make_policy
from sim.protocol import ACTIONS, EVENTS, Arrival, Run
from sim.records.decisions import FILE_NAME, check_decisions, decision_log, read_decisions
from sim.scenario import FleetSettings
from sim.streams import Stream, generator
from tests.support import ELASTIC, ideal, own, poisson, simulate


def fresh(inputs, name):
    rng = generator(inputs.seed, Stream.POLICY)
    return Dispatcher(make_policy(name), inputs.fleet, inputs.workload.functions, inputs.costs, rng)


@pytest.mark.parametrize("name", ELASTIC)
def test_a_fresh_policy_decides_the_same(tmp_path, name):
    workload = own(poisson(200, 2.0, "exponential", 4, 6))
    with decision_log(tmp_path) as log:
        simulate(workload, make_policy(name), tmp_path / "run", gpus=2, log=log)
    inputs = assemble(workload, make_policy(name), ideal(), FleetSettings(gpus=2))
    entries = list(read_decisions(tmp_path / FILE_NAME))
    assert sum(isinstance(event, Arrival) for _, event, _ in entries) == 200
    assert check_decisions(entries, fresh(inputs, name)) == len(entries)
    at = next(i for i, (_, _, actions) in enumerate(entries) if any(isinstance(a, Run) for a in actions))
    now_s, event, actions = entries[at]
    entries[at] = (now_s, event, [Run(a.invocation, a.worker + 1) if isinstance(a, Run) else a for a in actions])
    with pytest.raises(RunError, match=f"^decision {at + 1}, .*: logged .*, now answered"):
        check_decisions(entries, fresh(inputs, name))


def test_logs_know_every_event_and_action_by_its_name(tmp_path):
    events = "Arrival Finished WorkerReady WorkerStopped Loaded DeviceChanged Woke"
    actions = "Run Start Stop Load Evict Preempt Partition Scale Reject Wake"
    assert set(EVENTS) == set(events.split())
    assert set(ACTIONS) == set(actions.split())
    (tmp_path / FILE_NAME).write_text('{"now_s": 0.0, "event": ["Run", {"invocation": 0, "worker": 0}], "actions": []}')
    with pytest.raises(RunError, match=f"{FILE_NAME}, line 1: .* is no entry of a decision log"):
        list(read_decisions(tmp_path / FILE_NAME))
