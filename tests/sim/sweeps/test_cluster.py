"""A sweep on a Ray cluster of several processes gives the same table, also when one of them is killed."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pandas as pd
import pytest

from sim.errors import ScenarioError
from sim.sweeps.study import read_study
from sim.sweeps.sweep import run_study
from tests.sim.sweeps.studies import POLICY, read_results, write_study


def test_without_ray_it_is_told_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ScenarioError, match=r"--ray needs Ray, .* the extra 'cluster'"):
        run_study(read_study(write_study(tmp_path)), tmp_path / "out", ray="local")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense"])
@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")
def test_where_no_cluster_answers_it_is_told_before_anything_is_written(tmp_path, address):
    with pytest.raises(ScenarioError, match=f"--ray {address}: no cluster answers"):
        run_study(read_study(write_study(tmp_path)), tmp_path / "out", ray=address)
    assert not (tmp_path / "out").exists()


# In a process of its own: what Ray leaves open would be an error here.
SWEEP = """
import sys
from pathlib import Path
import ray
from sim.sweeps.study import read_study
from sim.sweeps.sweep import run_study

ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
for _ in range(2):
    came = run_study(read_study(sys.argv[1]), Path(sys.argv[2]), ray="local")
    Path(sys.argv[3]).open("a").write(f"{came.n_before} {len(came.frame)} {dict(came.failed)};")
"""


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")
def test_on_a_cluster_with_a_worker_killed_amid_a_run_it_gives_the_same_table(tmp_path):
    (tmp_path / "mine.py").write_text(POLICY)
    file = write_study(tmp_path, factors={"policy": ["affinity", "mine.py:Fragile[kill=1]"], "gpus": [1, 2]})
    words = [sys.executable, "-c", SWEEP, file, tmp_path / "ray", tmp_path / "came"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert (tmp_path / "came").read_text() == "0 8 {};8 8 {};"
    assert (tmp_path / "mine.killed").exists()
    assert (tmp_path / "mine.begun").read_text() == "x" * 5, "four points, one of them twice"
    run_study(read_study(file), tmp_path / "pool", jobs=2)
    pd.testing.assert_frame_equal(read_results(tmp_path / "ray"), read_results(tmp_path / "pool"))
