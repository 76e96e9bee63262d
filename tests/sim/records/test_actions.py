"""The actions table: every order once, with its end."""

from __future__ import annotations

import pytest

from sim.compose import assemble
from sim.models.calibration import Startup
from sim.policies import make_policy
from sim.protocol import Run, Start, Stop
from sim.records.actions import actions_log
from sim.records.decisions import decision_log, read_decisions
from sim.records.results import Run as RunDirectory
from sim.scenario import FleetSettings
from tests.support import ideal, own, poisson, simulate


@pytest.mark.parametrize("name", ["affinity", "exclusive"])
def test_every_order_has_a_row_and_what_was_expected_beside_what_came(tmp_path, name):
    start = Startup(kill_release=0, process=0.5, runtime=0, context=0, first_run=0)
    workload = own(poisson(300, 3.0, "exponential", 4, 9))
    calibration = ideal(startup_s=start)
    inner = tmp_path / "run"
    costs = assemble(workload, make_policy(name), calibration, FleetSettings(gpus=2)).costs
    with decision_log(tmp_path) as also, actions_log(tmp_path, costs, also) as log:
        run = simulate(workload, make_policy(name), inner, gpus=2, calibration=calibration, log=log)
    table = RunDirectory(tmp_path, {}, {}).table("actions")
    ordered = [a for _, _, actions in read_decisions(tmp_path / "decisions.jsonl") for a in actions]
    assert sorted(table.action) == list(range(len(ordered)))
    for kind in (Run, Start, Stop):
        assert (table.kind == kind.__name__).sum() == sum(isinstance(a, kind) for a in ordered)
    runs = table[table.kind == "Run"].set_index("invocation").sort_index()
    rows = run.table("invocations").set_index("invocation").sort_index()
    assert (runs.outcome == "ok").all()
    assert (runs.ended_at_s == rows.completed_at_s).all()
    assert (runs.expected_s == rows.expected_s).all()
    starts = table[table.kind == "Start"]
    assert (starts.expected_s == 0.5).all()
    assert (starts.ended_at_s[starts.outcome == "ok"] >= starts.at_s[starts.outcome == "ok"] + 0.5).all()
