"""Cells divide tenants, arrivals and GPUs: nothing is lost, nothing twice, and no tenant is torn apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.cells.split import CellTrace, assign, cell_fleet, cell_seed, cell_workload
from sim.domain import TraceFunction
from sim.errors import ScenarioError
from sim.scenario import FleetSettings, NodeSettings
from tests.support import ListTrace, own

APPS = st.lists(st.tuples(st.integers(0, 5), st.floats(0, 100)), min_size=1, max_size=30)


def functions(apps):
    return [TraceFunction(f"f{i}", f"a{app}", "http", 1.0, None, 1.0) for i, app in enumerate(apps)]


@given(APPS, st.integers(1, 4))
def test_apps_stay_together_and_cells_are_even(drawn, n_cells):
    apps, gpu_s = zip(*drawn, strict=True)
    if len(set(apps)) < n_cells:
        with pytest.raises(ScenarioError, match=f"the trace has {len(set(apps))} apps"):
            assign(functions(apps), np.array(gpu_s), n_cells)
        return
    cell_of = assign(functions(apps), np.array(gpu_s), n_cells)
    assert all(len(set(cell_of[np.array(apps) == app])) == 1 for app in set(apps))
    loads = np.bincount(cell_of, gpu_s, n_cells)
    largest = max(sum(s for a, s in drawn if a == app) for app in set(apps))
    assert loads.max() - loads.min() <= largest + 1e-9  # else the rule would have put that app elsewhere


@given(st.lists(st.integers(0, 4), max_size=50), st.integers(1, 7), st.none() | st.integers(1, 60))
def test_each_arrival_is_in_one_cell(function, chunk, limit):
    whole = ListTrace(np.arange(len(function)) / 2, function, np.ones(len(function)), n_functions=5, chunk=chunk)
    cells = [CellTrace(whole, np.array(mine), limit) for mine in ([0, 3], [1, 2, 4])]
    n = len(function) if limit is None else min(limit, len(function))
    assert sorted(np.concatenate([cell.invocations() for cell in cells]).tolist()) == list(range(n))
    for cell in cells:
        at_s = np.concatenate([np.zeros(0), *(c.at_s for c in cell.chunks())])
        number = np.concatenate([np.zeros(0, dtype=int), *(c.function for c in cell.chunks())])
        assert (at_s == cell.invocations() / 2).all()
        assert [cell.of_whole[i] for i in number] == [function[i] for i in cell.invocations()]
        assert cell.n_arrivals == len(at_s)


def test_functions_keep_what_they_are():
    workload = replace(own(ListTrace([0.0, 1.0, 2.0], [0, 2, 1], [1.0, 2.0, 3.0])), limit=2)
    mine = cell_workload(workload, np.array([1, 0, 1]), 1)
    assert [f.key for f in mine.functions] == ["f0", "f2"]
    assert [f.id for f in mine.functions] == [0, 1]
    assert mine.functions[1].graph is workload.functions[2].graph
    (batch,) = mine.batches()
    assert batch.size.tolist() == [1.0, 2.0]


def test_fleets_are_divided_or_refused():
    assert cell_fleet(FleetSettings(gpus=32), 4).gpus == 8
    assert cell_fleet(FleetSettings(gpus=32), 16).gpus == 2
    nodes = FleetSettings(nodes=(NodeSettings(4, "a", count=6), NodeSettings(1, "b", count=3)))
    assert [node.count for node in cell_fleet(nodes, 3).nodes] == [2, 1]
    for fleet, n, why in (
        (FleetSettings(gpus=6), 4, "gpus, 6, can't be divided"),
        (FleetSettings(gpus=24), 2, "12 GPUs each, which don't fill nodes of 8"),
        (nodes, 2, "the count of nodes, 3, can't be divided"),
    ):
        with pytest.raises(ScenarioError, match=why):
            cell_fleet(fleet, n)


def test_cells_draw_for_themselves():
    assert len({cell_seed(seed, cell) for seed in range(10) for cell in range(10)}) == 100
