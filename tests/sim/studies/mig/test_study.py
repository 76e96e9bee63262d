"""``simulate reproduce mig``: on points of the law itself, and on those of ParvaGPU, where they are here."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from sim.cli.reproduce import reproduce
from sim.models.mig.scaling import A100, Scaling
from sim.studies.mig.constants import START, fit_law, leave_one_out
from sim.studies.mig.points import COLUMNS, PROFILES, Measured, Model, Point, read_models
from sim.studies.mig.predict import BARS, errors, predicted

REFERENCE = Path(__file__).parents[4].parent / "shared" / "reference" / "mig_a100"


@pytest.fixture(scope="module")
def published():
    if not REFERENCE.is_dir():
        pytest.skip("the published measurements (shared/reference/mig_a100) are not here")
    return read_models(sorted(REFERENCE.glob("*.csv")))


def made(name, host_s, per_input_s, law=A100, noise=0.0):
    """A model whose points are those of the law, off by a noise."""
    scaling = Scaling(law, host_s, law.serial_frac, {b: per_input_s * b for b in (1, 2, 4, 8, 16, 32)})
    rng = np.random.default_rng(len(name))
    points = {}
    for point in [Point(s, b, n) for s in PROFILES for b in scaling.work_s for n in (1, 2, 4)]:
        latency_s = scaling.latency_s(point.profile, point.batch, point.processes)
        latency_s *= float(np.exp(noise * rng.standard_normal()))
        points[point] = Measured(point.batch / latency_s, latency_s)
    return Model(name, points, n_empty=3)


def written(tmp_path, model):
    lines = [f"{p.slices},{p.batch},{p.processes},{m.throughput_per_s},{m.latency_s}" for p, m in model.points.items()]
    file = tmp_path / f"{model.name}.csv"
    file.write_text("\n".join([",".join(COLUMNS), *lines, "1,64,1,0,0"]))
    return file


def invoke(*words):
    return CliRunner().invoke(reproduce, ["mig", *map(str, words)])


def test_points_of_the_law_are_predicted_and_the_bars_are_met(tmp_path):
    files = [written(tmp_path, made("one", 0.005, 2e-3)), written(tmp_path, made("two", 0.01, 8e-3))]
    result = invoke("--points", files[0], "--points", files[1], "--json")
    assert result.exit_code == 0, result.output
    tables = json.loads(result.stdout)
    assert {*tables} == {"errors", "points"}
    assert [(row["model"], row["processes"]) for row in tables["errors"]] == [
        (model, processes) for model in ("one", "two", "all") for processes in ("one", "several")
    ]
    assert [row["n"] for row in tables["errors"]] == [18, 60, 18, 60, 36, 120]
    assert max(row["p90_frac"] for row in tables["errors"]) < 0.05
    assert len(tables["points"]) == 2 * 90
    row = tables["points"][0]
    assert row["predicted_throughput_per_s"] * row["predicted_latency_s"] == pytest.approx(row["batch"])
    assert row["error_frac"] == pytest.approx(row["predicted_throughput_per_s"] / row["throughput_per_s"] - 1)
    assert sum(row["seen"] for row in tables["points"]) == 2 * 2 * 6


def test_the_table_says_what_the_law_sees_and_files_may_follow_each_other(tmp_path):
    files = [written(tmp_path, made("one", 0.005, 2e-3)), written(tmp_path, made("two", 0.01, 8e-3))]
    result = invoke("--points", *files)
    assert result.exit_code == 0, result.output
    assert (
        "180 points of one, two; 2 more are 0, not measured.\nThe law sees 24 of them: one process on 1 and 7 slices"
        in (result.stdout)
    )
    assert "bar_median_frac" in result.stdout


def test_what_the_law_may_not_see_changes_no_prediction():
    model = made("net", 0.005, 2e-3, noise=0.1)
    other = Model(
        "net",
        {p: m if p.is_seen else Measured(m.throughput_per_s * 3, m.latency_s / 3) for p, m in model.points.items()},
        0,
    )
    for row, again in zip(predicted(model), predicted(other), strict=True):
        assert row["predicted_latency_s"] == again["predicted_latency_s"]
        assert row["seen"] or again["error_frac"] == pytest.approx((1 + row["error_frac"]) / 3 - 1)


def test_a_latency_that_was_rounded_away_has_no_error():
    points = {Point(7, 1, 1): Measured(4000.0, 0.0), Point(7, 1, 2): Measured(3000.0, 0.0)}
    rows = predicted(Model("net", points, 0))
    assert [row["latency_error_frac"] for row in rows] == [None, None]
    assert errors(rows)[0]["latency_median_frac"] is None


def test_errors_are_of_unseen_points_and_of_latencies_that_are_not_rounded_away():
    def row(processes, seen, error_frac, latency_s):
        return {
            "model": "net", "slices": 2, "batch": 1, "processes": processes, "seen": seen, "error_frac": error_frac,
            "latency_s": latency_s, "latency_error_frac": -error_frac,
        }  # fmt: skip

    rows = [row(1, True, 9.0, 1.0), row(1, False, -0.2, 0.001), row(2, False, 0.1, 0.02), row(3, False, -0.3, 0.009)]
    one, several = errors(rows)
    assert (one["n"], one["median_frac"], one["latency_median_frac"]) == (1, 0.2, None)
    assert (several["n"], several["median_frac"], several["worst_error_frac"]) == (2, pytest.approx(0.2), -0.3)
    assert several["worst_at"] == "2 slices, 3 x 1"
    assert several["latency_median_frac"] == 0.1
    assert (one["bar_median_frac"], several["bar_p90_frac"]) == (0.07, 0.35)


def test_constants_are_found_again_from_points_of_their_law():
    models = [made("one", 0.005, 1e-3), made("two", 0.01, 6e-3), made("three", 0.002, 4e-4)]
    law = fit_law(models)
    assert law != START
    assert law.memory_frac == pytest.approx(A100.memory_frac, rel=0.1)
    assert law.input_s == pytest.approx(A100.input_s, rel=0.25)
    rows, constants = leave_one_out(models)
    assert [row["left_out"] for row in constants] == ["one", "two", "three", "none"]
    assert constants[-1] == {"left_out": "none", **asdict(law)}
    assert max(row["p90_frac"] for row in errors(rows)) < 0.06


def test_mistakes_end_the_command_with_one_sentence(tmp_path):
    file = written(tmp_path, made("one", 0.005, 2e-3))
    for words, said in (
        ((), "--points is missing, must name a file of measured points"),
        (("--points", file, "--leave-one-out"), "--leave-one-out has points of one model only, must have those of two"),
        (("--points", file, file), "one.csv: is a second file of the model 'one'"),
        (("--points", tmp_path / "no.csv"), "no.csv: can't be read"),
    ):
        result = invoke(*words)
        assert result.exit_code == 2
        assert said in result.stderr
        assert result.stderr.count("\n") == 1


def test_published_points_are_within_the_bars(published):
    rows = errors([row for model in published for row in predicted(model)])
    assert len(rows) == 2 * (len(published) + 1)
    for row in rows:
        assert row["median_frac"] < BARS[row["processes"]][0], row
        assert row["p90_frac"] < BARS[row["processes"]][1], row
        assert row["latency_median_frac"] < BARS[row["processes"]][0], row
        assert row["latency_p90_frac"] < BARS[row["processes"]][1], row


@pytest.mark.slow
def test_models_that_the_constants_were_not_fitted_to_are_within_the_bars(published):
    rows, constants = leave_one_out(published)
    for row in errors(rows):
        assert row["median_frac"] < BARS[row["processes"]][0], row
        assert row["p90_frac"] < BARS[row["processes"]][1], row
    assert asdict(A100) == {
        name: pytest.approx(value, rel=0.01) for name, value in constants[-1].items() if name != "left_out"
    }
