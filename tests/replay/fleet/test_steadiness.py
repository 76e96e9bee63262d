"""Whether a run was of one machine: by tables and samples that are made up."""

from __future__ import annotations

import threading

import numpy as np
import pandas as pd
import pytest

from replay.fleet.clocks import ClockSample, ClockWatch
from replay.fleet.steadiness import (
    DRIFT_FRAC,
    INVALID_DRIFT_FRAC,
    LEAST_RUNS,
    MOST_TOLD,
    judge_losses,
    judge_times,
)

SLOWER = "run times drifted by 40%: 1 times the median on device 0 from 0 s, 1.4 times the median on device 0 from 90 s"


def warm(n=400, device=0, slow_from_s=100.0, factor=1.0, noise=0.0):
    """Warm runs of two graphs in 100 s; from an instant on they take longer."""
    rng = np.random.default_rng(device)
    at_s = np.linspace(0, 100, n, endpoint=False)
    run_s = np.where(np.arange(n) % 2, 0.001, 0.2) * np.where(at_s >= slow_from_s, factor, 1.0)
    return pd.DataFrame(
        {
            "device": device,
            "started_at_s": at_s,
            "graph": np.where(np.arange(n) % 2, "short", "long"),
            "run_s": run_s * np.exp(noise * rng.standard_normal(n)),
            "host_s": 0.0001,
        }
    )


def judge(rows, clocks=(), alone=True, strict=True):
    return judge_times(rows, 100.0, clocks, alone=alone, strict=strict)


def test_a_steady_run_has_nothing_against_it():
    found = judge(warm(noise=0.03))
    assert found.reasons == found.warnings == []
    assert found.facts["steadiness"]["run_time_drift_frac"] < DRIFT_FRAC
    assert [window["start_at_s"] for window in found.facts["steadiness"]["windows"]] == list(range(0, 100, 10))


@pytest.mark.parametrize(("factor", "n_warnings", "n_reasons"), [(1.05, 0, 0), (1.2, 1, 0), (1.4, 0, 1)])
def test_run_times_that_grow_are_told_and_too_much_makes_a_run_invalid(factor, n_warnings, n_reasons):
    found = judge(warm(slow_from_s=90.0, factor=factor))
    assert (len(found.warnings), len(found.reasons)) == (n_warnings, n_reasons)
    assert found.facts["steadiness"]["run_time_drift_frac"] == pytest.approx(factor - 1)
    assert DRIFT_FRAC < 0.2 < INVALID_DRIFT_FRAC
    if factor == 1.4:
        assert found.reasons == [SLOWER]
        lenient = judge(warm(slow_from_s=90.0, factor=factor), strict=False)
        assert (lenient.reasons, lenient.warnings) == ([], [f"not the same machine throughout: {SLOWER}"])


def test_a_device_that_is_slower_than_the_others_is_told():
    found = judge(pd.concat([warm(), warm(device=1, slow_from_s=0.0, factor=2.0)]))
    assert "on device 0" in found.reasons[0]
    assert "on device 1" in found.reasons[0]


def test_another_mix_of_graphs_is_no_drift():
    rows = warm()
    assert judge(rows[(rows.graph == "long") | (rows.started_at_s < 50)]).warnings == []


def test_few_runs_tell_nothing():
    rows = warm(n=10 * (LEAST_RUNS - 1), slow_from_s=90.0, factor=2.0)
    assert judge(rows).facts["steadiness"]["run_time_drift_frac"] is None
    assert judge(rows[:0]).facts["steadiness"] == {
        "run_time_drift_frac": None, "sm_clock_drift_frac": None, "n_stalls": 0, "windows": [],
    }  # fmt: skip


def test_workers_that_share_a_device_are_not_judged_by_their_run_times():
    found = judge(warm(slow_from_s=90.0, factor=2.0), alone=False)
    assert found.reasons == found.warnings == []


@pytest.mark.parametrize("column", ["run_s", "host_s"])
@pytest.mark.parametrize(("n", "n_warnings", "n_reasons"), [(1, 1, 0), (4, 1, 0), (5, 0, 1)])
def test_stalls_are_counted_in_kernels_or_beside_them(column, n, n_warnings, n_reasons):
    rows = warm()
    rows.loc[1 : 2 * n : 2, column] += 1.0  # the short ones
    rows.loc[2 : 2 * n : 2, column] += 0.15  # long ones that took not even twice as long
    found = judge(rows)
    assert found.facts["steadiness"]["n_stalls"] == n
    assert (len(found.warnings), len(found.reasons)) == (n_warnings, n_reasons)
    assert f"{n} of 400 warm invocations stalled for 0.1 s, at most 4 may" in (found.warnings + found.reasons)[0]


def test_clocks_are_told_and_those_of_an_idle_gpu_are_not_taken_for_drift():
    rows = warm()
    fell = [ClockSample(0, at_s, 1980 if at_s < 50 else 1500, 40 + int(at_s / 2)) for at_s in range(100)]
    told = "not the same machine throughout: the clock of the multiprocessors drifted by 32%"
    assert judge(rows, fell).warnings == [f"{told} (1500 to 1980 MHz, 42 to 87 °C)"]
    assert judge(rows[rows.started_at_s < 50], fell).warnings == []
    unknown = [sample._replace(sm_clock_mhz=None) for sample in fell]
    assert judge(rows, unknown).facts["steadiness"]["sm_clock_drift_frac"] is None
    slower = judge(warm(slow_from_s=50.0, factor=1.4), fell)
    assert slower.reasons[0].endswith("from 50 s (1500 to 1980 MHz, 42 to 87 °C)")


def test_a_lost_worker_makes_a_run_invalid():
    lost = {"worker": 3, "device": 1, "at_s": 0.5, "how": "was killed by SIGKILL"}
    assert judge_losses([]).reasons == []
    assert judge_losses([lost]).reasons == ["1 worker was lost: worker 3 of device 1 was killed by SIGKILL after 0.5 s"]
    many = judge_losses([lost] * 1000)
    assert many.reasons[0].startswith("1,000 workers were lost: worker 3 of device 1")
    assert len(many.facts["lost_workers"]) == MOST_TOLD


class TellingGpu:
    """Two GPUs, of which this is the second; tells when it has been asked twice."""

    def __init__(self):
        self.asked = 0
        self.was_asked_twice = threading.Event()

    def sm_clock_mhz(self):
        self.asked += 1
        if self.asked == 2:
            self.was_asked_twice.set()
        return 1000 + self.asked

    def temperature_c(self):
        return None


def test_clocks_are_sampled_while_a_run_lasts(monkeypatch):
    monkeypatch.setattr("replay.fleet.clocks.PERIOD_S", 0.001)
    gpu = TellingGpu()
    with ClockWatch([None, gpu], lambda: 7.0) as watch:
        assert gpu.was_asked_twice.wait(60)
    asked = gpu.asked
    assert watch.samples[:2] == [ClockSample(1, 7.0, 1001, None), ClockSample(1, 7.0, 1002, None)]
    assert len(watch.samples) == asked == gpu.asked, "nobody asks any more"
    with ClockWatch([None], lambda: 7.0) as nothing:
        pass
    assert nothing.samples == []
