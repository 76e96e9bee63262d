"""Tables of points: read, completed, summed up."""

from __future__ import annotations

import pytest

from sim.errors import ScenarioError
from sim.studies.kaas.experiments import SETUPS, WORKLOADS
from sim.studies.kaas.points import complete, read_points
from sim.studies.kaas.report import errors, gains
from sim.studies.kaas.run import PointResult
from sim.studies.tables import as_text

ARXIV = SETUPS["arxiv"]


def written(tmp_path, text):
    file = tmp_path / "mine.csv"
    file.write_text(text)
    return file


def read(tmp_path, text, setup=ARXIV):
    return read_points(written(tmp_path, text), setup, WORKLOADS)


def test_measurements_and_other_columns_are_kept(tmp_path):
    (row,) = read(tmp_path, "dataset,workload,mode,clients,p50_s,p90_s\nmine,cGEMM,kaas,8,0.15,\n")
    assert row.point == ("cGEMM", "kaas", 8, None)
    cells = complete(row, PointResult(88.0, (0.1, 0.2, 0.3)))
    assert cells["dataset"] == "mine"
    assert (cells["p50_s"], cells["p90_s"]) == (0.15, None)
    assert (cells["simulated_throughput_qps"], cells["simulated_p50_s"]) == (88.0, 0.2)
    assert cells["error_frac"] == cells["p50_error_frac"] == pytest.approx(1 / 3)
    assert cells["p90_error_frac"] is None


def test_the_same_point_twice_is_noted_and_not_compared(tmp_path):
    first, second = read(tmp_path, "workload,mode,clients\nbert,kaas,1\nbert,kaas,1\n")
    assert not first.duplicate
    assert second.duplicate
    assert complete(second, None)["note"] == "the same point as row 2"


def test_points_may_have_a_rate_of_their_own(tmp_path):
    text = "workload,mode,clients,offered_per_s,p50_s\nbert,kaas,8,,0.2\nbert,kaas,8,12.5,0.1\nbert,kaas,8,12.5,0.1\n"
    usual, own, again = read(tmp_path, text)
    assert usual.point.offered_per_s is None
    assert own.point == ("bert", "kaas", 8, 12.5)
    assert not own.duplicate
    assert again.duplicate
    assert complete(own, None)["offered_per_s"] == 12.5
    with pytest.raises(ScenarioError, match="row 2: offered_per_s: is '0', must be a number from 1e-09"):
        read(tmp_path, "workload,mode,clients,offered_per_s\nbert,kaas,8,0\n")


def test_a_latency_whose_rate_is_in_doubt_comes_at_both(tmp_path):
    usual, other = read(tmp_path, "workload,mode,clients,throughput_qps,p50_s\ncGEMM,kaas,28,87.6,0.547\n")
    assert usual.measured == {"throughput_qps": 87.6, "p50_s": 0.547}
    assert other.measured == {"p50_s": 0.547}
    assert other.point.offered_per_s == pytest.approx(32.13)
    assert "belongs to 28 clients" in complete(other, None)["note"]
    assert len(read(tmp_path, "workload,mode,clients,throughput_qps\ncGEMM,kaas,28,87.6\n")) == 1


def test_what_the_authors_set_by_hand_does_not_count(tmp_path):
    rows = read(tmp_path, "workload,mode,clients,throughput_qps\ncGEMM,kaas,29,45.9\ncGEMM,kaas,28,88\n")
    completed = [complete(row, PointResult(44.0)) for row in rows]
    assert "by hand" in completed[0]["note"]
    assert [e["n"] for e in errors(completed)] == [1, 1, 1]
    assert errors(completed)[0]["median_frac"] == 0.5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("workload,mode\nbert,kaas\n", "row 1: lacks the column 'clients'"),
        ("workload,mode,clients\n", "no points"),
        ("workload,mode,clients\nbart,kaas,1\n", "row 2: workload: is 'bart', must be one of resnet50"),
        ("workload,mode,clients\nbert,kaas,1\nbert,kas,1\n", "row 3: mode: is 'kas', must be one of kaas"),
        ("workload,mode,clients\nbert,kaas,0\n", "row 2: clients: is '0', must be a whole number"),
        ("workload,mode,clients\nbert,kaas,two\n", "row 2: clients: is 'two'"),
        ("workload,mode,clients,throughput_qps\nbert,kaas,1,-3\n", "row 2: throughput_qps: is '-3'"),
        ("workload,mode,clients,p50_s\nbert,kaas,1,nan\n", "row 2: p50_s: is 'nan'"),
        ("workload,mode,clients\nbert,kaas\n", "row 2: must have 3 cells"),
        ("workload,mode,clients,error_frac\nbert,kaas,1,0\n", "row 1: column 'error_frac'"),
    ],
)
def test_mistakes_name_file_row_column_and_value(tmp_path, text, said):
    with pytest.raises(ScenarioError, match=r"mine\.csv: ") as refused:
        read(tmp_path, text)
    assert said in str(refused.value)


def test_gains_are_of_contended_points_only():
    def row(mode, clients, throughput, p50_s):
        point = {"workload": "cGEMM", "mode": mode, "clients": clients}
        return point | {"simulated_throughput_qps": throughput, "simulated_p50_s": p50_s}

    rows = [row("kaas", 4, 80.0, 0.1), row("exclusive", 4, 0.1, 9.0)]
    assert gains(rows, of="kaas", over="exclusive") == []
    rows += [row("kaas", 8, 80.0, 0.1), row("exclusive", 8, 2.0, 1.5)]
    throughput, latency = gains(rows, of="kaas", over="exclusive")
    assert (throughput["simulated"], throughput["at_clients"]) == (40.0, 8)
    assert latency["simulated"] == pytest.approx(15.0)
    assert latency["measured"] is None


def test_text_has_no_column_that_is_empty_in_all_rows():
    rows = [{"a": 1, "b": None, "note": ""}, {"a": None, "b": None, "note": ""}]
    assert as_text(rows) == "a\n1\n-"
    assert as_text([{"error_frac": 0.0312, "median_frac": 0.5, "x": 12345.6}]).splitlines()[1].split() == [
        "+3.1%",
        "50.0%",
        "1.23e+04",
    ]
    assert as_text([]) == ""
