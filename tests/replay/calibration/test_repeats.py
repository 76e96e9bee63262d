"""Errors beside the spread of repeats."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay.calibration.repeats import NOISY_FRAC, Judged, as_text, group_repeats, judge, noise
from replay.calibration.validate import ComparedValue
from sim.records.results import Run


@pytest.mark.parametrize(
    ("measured", "simulated", "spread", "verdict"),
    [
        ((1.0, 1.1, 1.0), 1.05, 0.1, "within spread"),
        ((1.0, 1.1, 1.0), 1.2, 0.1, "beyond spread"),
        ((1.0, 1.1, 1.0), 0.8, 0.1, "beyond spread"),
        ((1.0, 1.3, 1.0), 1.0, 0.3, "too noisy"),
        ((1.0, 1.0 + NOISY_FRAC, 1.0), 1.0, NOISY_FRAC, "within spread"),
        ((400, 400, 400), 403, 0.0, "within spread"),
        ((400, 400, 400), 405, 0.0, "beyond spread"),
        ((0, 0, 0), 0, 0.0, "within spread"),
        ((0, 0, 0), 1, 0.0, "beyond spread"),
        ((0, 0, 9), 0, None, "too noisy"),
        ((1.0, None, 1.0), 1.0, None, ""),
        ((1.0, 1.0, 1.0), None, 0.0, ""),
        ((1.0, 9.0), 1.0, None, ""),
        ((1.0,), 1.0, None, ""),
    ],
)
def test_an_error_is_judged_by_what_repeats_differ_by(measured, simulated, spread, verdict):
    row = Judged("latency_p50_s", measured, simulated)
    assert row.spread_frac == (spread if spread is None else pytest.approx(spread))
    assert row.verdict == verdict


def test_the_median_of_repeats_is_compared():
    compared = [[ComparedValue("x", value, 3.0), ComparedValue("y", 1, 1)] for value in (1.0, 2.0, 9.0)]
    x, y = judge(compared)
    assert (x.measured, x.middle.measured, x.middle.error_frac) == ((1.0, 2.0, 9.0), 2.0, 0.5)
    assert (y.measured, y.middle.error_frac) == ((1, 1, 1), 0.0)


def test_a_noisy_machine_and_too_few_repeats_are_told():
    quiet, noisy = Judged("latency_p50_s", (1.0, 1.1, 1.0), 1.0), Judged("latency_p99_s", (1.0, 1.5, 2.0), 1.0)
    assert noise([quiet]) == ""
    told = "the machine was too noisy to judge latency_p99_s (66.7 %): repeats may come apart by 15%"
    assert noise([quiet, noisy]) == told
    text = as_text("affinity", [quiet, noisy]).splitlines()
    assert text[0].split() == ["affinity", "measured", "spread", "%", "simulated", "error", "%"]
    assert text[1].split() == ["latency_p50_s", "1", "10.0", "1", "+0.0", "within", "spread"]
    assert text[2].split() == ["latency_p99_s", "1.5", "66.7", "1", "-33.3", "too", "noisy"]
    assert text[3] == told
    once = "1 run tells nothing of the spread: errors are judged from 3 repeats on"
    assert as_text("affinity", [Judged("evictions", (1,), 2)]).splitlines()[-1] == once
    assert noise([Judged("evictions", (1, 2), 2)]).startswith("2 runs tell nothing")


def test_runs_of_one_scenario_on_one_device_are_repeats():
    def run(name, seed=0, device="GPU", free_bytes=1):
        facts = {"mode": "kaas", "device": {"name": device, "capacity_bytes": 5, "free_bytes": free_bytes}}
        manifest = {"policy": "p", "scenario": {"seed": seed}, "source": {"options": {}}, "replay": facts}
        return Run(Path(name), manifest, {})

    runs = [run("a"), run("b", seed=1), run("c", free_bytes=2), run("d", device="another"), run("e")]
    assert [[r.path.name for r in group] for group in group_repeats(runs)] == [["a", "c", "e"], ["b"], ["d"]]
