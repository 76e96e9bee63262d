"""A sweep on a Ray cluster of several processes gives the same table, also when one of them is killed."""

from __future__ import annotations

import sys

import pandas as pd
import pytest

from sim.errors import ScenarioError
from sim.sweeps.study import read_study
from sim.sweeps.sweep import run_study
from tests.sim.sweeps.studies import POLICY, read_results, write_study


def test_without_ray_it_is_told_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ScenarioError, match=r"--ray needs Ray, .* pip install gpu-faas\[cluster\]"):
        run_study(read_study(write_study(tmp_path)), tmp_path / "out", ray="local")


@pytest.fixture
def cluster():
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.mark.slow
def test_on_a_cluster_with_a_worker_killed_amid_a_run_it_gives_the_same_table(tmp_path, cluster):
    (tmp_path / "mine.py").write_text(POLICY)
    file = write_study(tmp_path, factors={"policy": ["affinity", "mine.py:Fragile[kill=1]"], "gpus": [1, 2]})
    came = run_study(read_study(file), tmp_path / "ray", ray="local")
    assert (tmp_path / "mine.killed").exists()
    assert (tmp_path / "mine.begun").read_text() == "x" * 5, "four points, one of them twice"
    assert (came.failed, came.n_before) == ({}, 0)
    run_study(read_study(file), tmp_path / "pool", jobs=2)
    pd.testing.assert_frame_equal(read_results(tmp_path / "ray"), read_results(tmp_path / "pool"))
    assert run_study(read_study(file), tmp_path / "ray", ray="local").n_before == 8
