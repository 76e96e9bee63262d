"""Data sets of studies and of ordinary folders of runs."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis.dataset import open_dataset, steady
from sim.errors import ProjectError, RunError
from tests.analysis.studies import POLICIES, write_study


def test_a_study_opens_with_its_factors_and_what_it_asks_for(tmp_path):
    report = {"baseline": "balance", "metrics": ["p99"], "policies": {"affinity": {"label": "CFS"}}}
    data = open_dataset(write_study(tmp_path / "out", report=report))
    assert data.factors == ("gpus",)
    assert len(data.frame) == 3 * 2 * 6
    assert data.runs == tmp_path / "out" / "runs"
    assert data.report.baseline == "balance"
    assert list(data.report.looks) == ["affinity", "balance", "keepalive[ttl=60]"]


def test_rows_are_chosen_by_factors_whose_numbers_may_be_text(tmp_path):
    data = open_dataset(write_study(tmp_path / "out"))
    rows = data.where({"gpus": "4", "policy": "affinity"})
    assert set(rows["gpus"]) == {4}
    assert set(rows["policy"]) == {"affinity"}
    assert len(data.where({"seed": 3})) == 3 * 2
    assert data.where({}) is data.frame


@pytest.mark.parametrize(
    ("wanted", "told"),
    [({"gpu": "4"}, "did you mean 'gpus'"), ({"gpus": "5"}, "the values of gpus are 2, 4"), ({"gpus": "x"}, "gpus=x")],
)
def test_rows_that_are_not_there_are_refused(tmp_path, wanted, told):
    data = open_dataset(write_study(tmp_path / "out"))
    with pytest.raises(RunError, match=told):
        data.where(wanted)


def test_text_that_is_null_is_empty_and_factors_may_be_text(tmp_path):
    path = write_study(tmp_path / "out", factors={"traces": ["a", "b"]}, change={("balance", 0): {"error": None}})
    data = open_dataset(path)
    assert set(data.frame["error"]) == {""}
    assert set(data.where({"traces": "a"})["traces"]) == {"a"}


def test_a_study_without_its_table_or_columns_is_refused(tmp_path):
    path = write_study(tmp_path / "out")
    table = path / "results.parquet"
    pd.read_parquet(table).drop(columns="valid").to_parquet(table)
    with pytest.raises(RunError, match="lacks the column 'valid'"):
        open_dataset(path)
    table.write_bytes(b"nothing")
    with pytest.raises(RunError, match="not a readable Parquet file"):
        open_dataset(path)
    table.unlink()
    with pytest.raises(RunError, match="has not been run to its end"):
        open_dataset(path)
    (path / "study.yaml").write_text("name: x")
    with pytest.raises(ProjectError, match="must be a study with factors"):
        open_dataset(path)


def test_a_folder_of_runs_is_a_data_set_whose_factors_are_what_differs(make_run, tmp_path):
    def scenario(gpus, seed, rate):
        return {"seed": seed, "fleet": {"gpus": gpus}, "rate_scale": rate, "policies": ["x"]}

    for gpus in (2, 10):
        for seed in (0, 1):
            for policy in ("fifo", "sjf"):
                name = f"{policy}-{gpus}-{seed}"
                make_run(policy, name=name, n=50, seed=seed, manifest={"scenario": scenario(gpus, seed, 1)})
    data = open_dataset(tmp_path / "runs")
    assert data.factors == ("gpus",)
    assert list(data.frame["gpus"]) == [2] * 4 + [10] * 4
    assert list(data.frame["policy"][:4]) == ["fifo", "fifo", "sjf", "sjf"]
    assert list(data.frame["seed"][:4]) == [0, 1, 0, 1]
    assert data.frame["latency_s.p99"].dtype == data.frame["completed"].dtype == "float64"
    assert data.report.baseline is None
    assert set(data.report.looks) == {"fifo", "sjf"}
    run = data.open(data.frame["run"][0])
    assert run.label == "fifo"
    assert run.summary["latency_s"]["p99"] == data.frame["latency_s.p99"][0]


def test_unknown_numbers_invalid_runs_and_warnings_stand_in_the_table(make_run, tmp_path):
    make_run("fifo", n=1, simulated_s=0.0001, manifest={"valid": False, "reasons": ["cut", "short"]})
    make_run("sjf", n=20, warnings=["odd: 8", "not steady: 7"])
    frame = open_dataset(tmp_path / "runs").frame.set_index("policy")
    assert steady(frame).to_dict() == {"fifo": True, "sjf": False}
    assert frame.loc["fifo", "reasons"] == "cut; short"
    assert not frame.loc["fifo", "valid"]
    assert pd.isna(frame.loc["fifo", "latency_s.p99"])
    assert frame.loc["sjf", "warnings"] == "odd: 8; not steady: 7"


def test_settings_of_several_kinds_are_text(make_run, tmp_path):
    for name, window in {"a": None, "b": "00:00-01:00"}.items():
        make_run("fifo", name=name, n=20, manifest={"scenario": {"seed": 0, "window": window, "traces": [name, "x"]}})
    data = open_dataset(tmp_path / "runs")
    assert data.factors == ("window", "traces")
    assert list(data.frame["window"]) == ["-", "00:00-01:00"]
    assert list(data.frame["traces"]) == ["a x", "b x"]


def test_one_run_is_a_data_set_without_factors(make_run):
    data = open_dataset(make_run("fifo", n=20))
    assert data.factors == ()
    assert data.open(data.frame["run"][0]).label == "fifo"


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(RunError, match="no such"):
        open_dataset(tmp_path / "nothing")


def test_policies_of_the_helper_are_those_of_the_study(tmp_path):
    assert set(open_dataset(write_study(tmp_path / "out")).frame["policy"]) == set(POLICIES)
