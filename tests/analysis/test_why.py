"""Where the time of an invocation went, by hand: a graph takes 1 s, a byte of constants 0.25 s, a start 0.5 s."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from analysis.why import as_text, why
from sim.domain import WorkerKind
from sim.errors import RunError
from sim.files.output import as_json
from sim.models.workloads.catalogue import load_catalogue
from sim.policies import make_policy
from sim.protocol import Arrival, Need, Reject, Run, Standing, Start
from sim.workload import bind
from tests.sim.engine.by_script import BATCHED, GPU, SLOW, function, play
from tests.support import V100, poisson, simulate


def ended(run, end_s):
    return replace(run, summary=run.summary | {"simulated_s": end_s})


def played(directory, answers, arrivals, functions=(), **more):
    run = play(directory, answers, arrivals, functions, **more).run
    return ended(run, run.table("invocations")["completed_at_s"].max())


def parts(told):
    return {part["part"]: part["s"] for part in told["parts"] if part["s"]}


def texts(told):
    return [event["text"] for event in told["story"]]


def check(told):
    assert sum(part["s"] for part in told["parts"]) == pytest.approx(told["latency_s"], abs=1e-9)
    assert sum(part["frac"] for part in told["parts"]) == pytest.approx(1.0)
    assert [event["at_s"] for event in told["story"]] == sorted(event["at_s"] for event in told["story"])
    assert as_text(told).startswith(told["told"])
    json.loads(as_json(told))


def test_who_waits_for_others_is_told_for_whom(tmp_path):
    answers = [(Arrival(0, 0), [Run(0, 0)]), (Arrival(1, 1), [Run(1, 0)]), (Arrival(2, 0), [Run(2, 0)])]
    executor = {"standing": [Standing(0)], "workers": [WorkerKind.KAAS]}
    told = why(played(tmp_path, answers, [(1.0, 0), (1.25, 1), (1.5, 0)], **executor), 2)
    check(told)
    assert told["told"] == (
        "Invocation 2 of f0 took 2,500 ms, 2.5 times the 1,000 ms that are expected of it when warm and alone."
    )
    assert parts(told) == pytest.approx({"pool": 1.5, "kernels": 1.0})
    where = "worker 0 on GPU 0"
    assert texts(told)[1:3] == [
        f"It waited 1,500 ms for {where}: 2 invocations that began before it had not ended on {where}.",
        f"Meanwhile 2 invocations ran, 1 of f1 (1,000 ms), 1 of f0 (500 ms) on {where}.",
    ]


def test_a_load_is_told_with_what_made_room(tmp_path):
    answers = [(Arrival(0, 0), [Run(0, 0)]), (Arrival(1, 1), [Run(1, 0)])]
    executor = {"standing": [Standing(0)], "workers": [WorkerKind.KAAS], "stays": True}
    gpu = replace(GPU, copies=SLOW, device=replace(GPU.device, memory_bytes=2))
    functions = [function(0, constants=(2,)), function(1, constants=(1,))]
    told = why(played(tmp_path, answers, [(1.0, 0), (4.0, 1)], functions, gpu=gpu, **executor), 1)
    check(told)
    assert parts(told) == pytest.approx({"loads": 0.25, "kernels": 1.0})
    assert "Copies took 250 ms: 1 B to the device, of which 1 B were constants that were not resident." in texts(told)
    assert "To make room 2 B of f0 were evicted." in texts(told)


def test_who_waits_for_a_start_is_told_its_stages(tmp_path):
    answers = [(Arrival(0, 0), [Start(0, 0, 0), Run(0, 0)])]
    told = why(played(tmp_path, answers, [(1.0, 0)]), 0)
    check(told)
    assert parts(told) == pytest.approx({"cold_start": 0.5, "kernels": 1.0})
    start = "The start of worker 0 on GPU 0 began, which it waited for: process 500 ms."
    assert [event["at_s"] for event in told["story"] if event["text"] == start] == [1.0], texts(told)


def test_what_was_rejected_is_told_why(tmp_path):
    told = why(played(tmp_path, [(Arrival(0, 0), [Reject(0, "no room")])], [(1.0, 0)], standing=[Standing(0, 0)]), 0)
    assert told["told"] == "Invocation 0 of f0 was rejected (no room), 0 ms after its arrival."
    assert texts(told)[-1] == "It was rejected: no room."
    assert as_text(told).splitlines()[-1].split() == ["in", "all", "0.000", "0.0"]


def test_a_batch_is_told(tmp_path):
    batch = [(Arrival(1, 0), [Run(0, 0, others=(1,))])]
    options = {"needs": [Need.BATCHES], "gpu": replace(GPU, graphs=BATCHED)}
    run = played(tmp_path, batch, [(1.0, 0), (1.5, 0)], standing=[Standing(0, 0)], **options)
    for invocation in (0, 1):
        told = why(run, invocation)
        check(told)
        assert "GPU 0 began on it in a batch of 2." in texts(told)


@pytest.mark.parametrize("policy", ["exclusive", "keepalive", "affinity", "balance"])
@pytest.mark.parametrize("frontend", [False, True])
def test_whatever_the_policy_the_parts_add_up(tmp_path, policy, frontend):
    calibration = V100 if frontend else V100.without_frontend()
    workload = bind(poisson(40, 4.0, "constant", 5, 6), catalogue=load_catalogue("kaas"))
    run = simulate(workload, make_policy(policy), tmp_path, calibration=calibration)
    run.manifest["scenario"] = {"frontend": "kaas" if frontend else "none"}
    run = ended(run, run.table("invocations")["completed_at_s"].max())
    rows = run.table("invocations").set_index("invocation")
    for invocation in range(0, 40, 3):
        told = why(run, invocation)
        check(told)
        row = rows.loc[invocation]
        assert told["latency_s"] == pytest.approx(row.completed_at_s - row.arrival_at_s)
        assert ("cold_start" in parts(told)) == row.cold
        assert parts(told).get("kernels") == pytest.approx(row.run_s)


def test_the_mean_parts_are_those_of_the_summary(tmp_path):
    workload = bind(poisson(30, 4.0, "constant", 5, 6), catalogue=load_catalogue("kaas"))
    run = simulate(workload, make_policy("exclusive"), tmp_path, calibration=V100.without_frontend())
    run = ended(run, run.table("invocations")["completed_at_s"].max())
    told = [{part["part"]: part["s"] for part in why(run, number)["parts"]} for number in range(30)]
    for name, mean_s in run.summary["latency_parts_s"].items():
        assert sum(one[name] for one in told) / 30 == pytest.approx(mean_s, abs=1e-9), name


def test_an_unknown_invocation_is_one_sentence(tmp_path):
    run = played(tmp_path, [(Arrival(0, 0), [Run(0, 0)])], [(1.0, 0)], standing=[Standing(0, 0)])
    for number in (-1, 1):
        with pytest.raises(RunError, match=rf"has no invocation {number}; they are numbered from 0 to 0"):
            why(run, number)
