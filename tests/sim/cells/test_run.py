"""A run in cells is what its cells are, added up: the same summary and tables, however many processes run them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from sim.errors import ScenarioError
from sim.experiment import run_scenario
from sim.records.results import open_run
from sim.scenario import read_scenario
from tests.support import same_tables
from traces.synth.azure2019 import write_azure2019


@pytest.fixture(scope="module")
def scenario(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cells") / "trace"
    write_azure2019(folder, n_functions=40, minutes=2, rate_per_s=40.0)
    fleet = {"gpus": 8, "gpus_per_node": 2}
    return read_scenario(None, {"traces": [str(folder)], "policies": ["affinity"], "fleet": fleet, "cells": 2})


def run(scenario, folder, **options):
    (path,) = run_scenario(scenario, folder, **options)
    return open_run(path)


def test_a_run_in_cells_is_the_sum_of_its_cells(scenario, tmp_path):
    whole = run(scenario, tmp_path / "whole", jobs=1)
    cells = [run(replace(scenario, cell=cell), tmp_path / str(cell)) for cell in (0, 1)]
    assert whole.valid
    for key in ("invocations", "completed", "cold_starts", "evictions", "h2d_bytes"):
        assert whole.summary[key] == sum(cell.summary[key] for cell in cells)
    rows = whole.table("invocations")
    latency_s = rows.completed_at_s - rows.arrival_at_s
    assert whole.summary["latency_s"]["mean"] == pytest.approx(latency_s.mean(), rel=1e-12)
    assert whole.summary["latency_s"]["max"] == latency_s.max()
    error = whole.summary["quantiles"]["error_frac"]
    for share in (50, 90, 99):
        exact = np.percentile(latency_s, share)
        assert whole.summary["latency_s"][f"p{share}"] == pytest.approx(exact, rel=error + 1e-12)
    assert whole.summary["simulated_s"] == max(cell.summary["simulated_s"] for cell in cells)


def test_its_tables_have_the_numbers_of_the_whole(scenario, tmp_path):
    whole = run(scenario, tmp_path / "whole", jobs=1)
    one = run(replace(scenario, cells=1), tmp_path / "one")
    functions = whole.table("functions")
    assert functions.equals(one.table("functions"))
    rows, rows_of_one = (r.table("invocations").sort_values("invocation", ignore_index=True) for r in (whole, one))
    same = ["invocation", "function", "arrival_at_s", "due_at_s", "status"]
    assert rows[same].equals(rows_of_one[same])
    assert sorted(rows.device.unique()) == list(range(8))
    workers = whole.table("workers").set_index("worker")
    assert workers.index.is_unique
    assert (workers.device[rows.worker].to_numpy() == rows.device).all()
    assert (workers.node == workers.device // 2).all()
    apps = functions.key[rows.function].str.split("/").str[0]
    assert rows.assign(app=apps.to_numpy(), cell=rows.device // 4).groupby("app").cell.nunique().max() == 1
    busy_s = whole.table("devices").busy_s.sum()
    assert busy_s == pytest.approx(rows.run_s.sum(), rel=1e-9)


def test_processes_change_nothing(scenario, tmp_path):
    one, two = (run(scenario, tmp_path / str(jobs), jobs=jobs) for jobs in (1, 2))
    assert same_tables(one.path, two.path)
    drop = ("wall_s", "invocations_per_wall_s", "peak_rss_bytes")
    summaries = [{key: value for key, value in r.summary.items() if key not in drop} for r in (one, two)]
    assert json.dumps(summaries[0]) == json.dumps(summaries[1])


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"cells": 3}, "gpus, 8, can't be divided"),
        ({"cells": 0}, "cells is 0, must be from 1"),
        ({"cell": 2}, "cell is 2, must be from 0 to 1"),
        ({"failures": [{"what": "device", "which": 0, "at_s": 1.0}]}, "cells is 2, must be 1 with a load or failures"),
    ],
)
def test_what_has_no_cells_is_refused(scenario, tmp_path, changes, why):
    with pytest.raises(ScenarioError, match=why):
        run_scenario(read_scenario(None, scenario.as_dict() | changes), tmp_path)


def test_what_is_of_one_cell_is_asked_of_one(scenario, tmp_path):
    with pytest.raises(ScenarioError, match="recorded of a single cell"):
        run_scenario(scenario, tmp_path, decisions=True)
    assert run(replace(scenario, cell=1), tmp_path, decisions=True).valid


def test_cells_without_workers_or_arrivals_are_cells(scenario, tmp_path):
    few = replace(scenario, policies=("keepalive",), limit=1)
    whole = run(few, tmp_path, jobs=1)
    assert whole.valid
    assert whole.summary["completed"] == len(whole.table("workers")) == 1
    assert len(set(whole.warnings)) == len(whole.warnings)
