"""Files of measured points: read, or refused with the place and the rule."""

from __future__ import annotations

import pytest

from sim.errors import ScenarioError
from sim.studies.mig.points import COLUMNS, Point, read_models

HEADER = ",".join(COLUMNS) + "\n"


def read(tmp_path, *lines, header=HEADER):
    file = tmp_path / "net.csv"
    file.write_text(header + "\n".join(lines))
    return read_models([file])


def test_points_are_read_and_empty_ones_counted(tmp_path):
    (model,) = read(tmp_path, "1,4,1,100,0.04", "3,4,2,120.5,0.033", "7,4,1,500,0.008", "1,64,1,0,0")
    assert (model.name, model.n_empty) == ("net", 1)
    assert {*model.points} == {Point(1, 4, 1), Point(3, 4, 2), Point(7, 4, 1)}
    assert model.points[Point(3, 4, 2)] == (120.5, 0.033)
    assert {(profile.name, batch): s for (profile, batch), s in model.seen_s.items()} == {
        ("1g.10gb", 4): 0.04,
        ("7g.80gb", 4): 0.008,
    }


def test_only_one_process_on_the_smallest_and_the_whole_is_seen():
    seen = {Point(s, 8, n) for s in (1, 2, 3, 4, 7) for n in (1, 2) if Point(s, 8, n).is_seen}
    assert seen == {Point(1, 8, 1), Point(7, 8, 1)}


def test_other_columns_are_left_alone(tmp_path):
    (model,) = read(tmp_path, "x,7,1,1,10,0.1", header="note," + HEADER)
    assert {*model.points} == {Point(7, 1, 1)}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("5,1,1,10,0.1", "row 3: Mig instance: is '5', must be one of 1, 2, 3, 4, 7"),
        ("1,0,1,10,0.1", "row 3: Batch size: is '0', must be a whole number from 1 to 1,000,000"),
        ("1,1.5,1,10,0.1", "row 3: Batch size: is '1.5', must be a whole number"),
        ("1,2,49,10,0.1", "row 3: Workload Number: is '49', must be a whole number from 1 to 48"),
        ("1,2,-1,10,0.1", "row 3: Workload Number: is '-1', must be a whole number"),
        (
            "1,2,1,fast,0.1",
            "row 3: Throughput: is 'fast', must be 0, where nothing was measured, or a number from 1e-12",
        ),
        ("1,2,1,-3,0.1", "row 3: Throughput: is '-3', must be 0"),
        ("1,2,1,nan,0.1", "row 3: Throughput: is 'nan', must be 0"),
        ("1,2,1,10,inf", "row 3: Latency: is 'inf', must be 0"),
        ("1,2,1,10,", "row 3: Latency: is '', must be 0"),
        ("1,2,1,0,0.1", "row 3: Latency: is '0.1', must be 0 as Throughput is, which wasn't measured"),
        ("7,1,1,10,0.1", "row 3: is the same point as row 2, must be the only one"),
        ("1,2,1,10", "row 3: must have 5 cells, like the header"),
        ("1,2,1,10,0.1,9", "row 3: must have 5 cells, like the header"),
    ],
)
def test_rows_that_cannot_be_are_refused(tmp_path, line, said):
    with pytest.raises(ScenarioError) as error:
        read(tmp_path, "7,1,1,10,0.1", line)
    assert str(error.value).startswith(f"{tmp_path / 'net.csv'}: {said}")
    assert "\n" not in str(error.value)


def test_files_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(ScenarioError, match="row 1: lacks the column 'Latency'; points have Mig instance, Batch size"):
        read(tmp_path, "1,1,1,1", header="Mig instance,Batch size,Workload Number,Throughput\n")
    with pytest.raises(ScenarioError, match="row 1: column 'Latency' is there twice"):
        read(tmp_path, "1,1,1,1,1,1", header="Latency," + HEADER)
    with pytest.raises(ScenarioError, match=r"net.csv: has no points, only a header"):
        read(tmp_path)
    with pytest.raises(ScenarioError, match="has no measured point with 1 process on 1 or 7 slices, must have some"):
        read(tmp_path, "1,1,1,0,0", "2,1,1,10,0.1", "7,1,2,10,0.1")
    with pytest.raises(ScenarioError, match=r"none.csv: can't be read \(No such file"):
        read_models([tmp_path / "none.csv"])
    (tmp_path / "other").mkdir()
    for file in (tmp_path / "net.csv", tmp_path / "other" / "net.csv"):
        file.write_text(HEADER + "7,1,1,10,0.1")
    with pytest.raises(
        ScenarioError, match=r"other/net.csv: is a second file of the model 'net', must be the only one"
    ):
        read_models([tmp_path / "net.csv", tmp_path / "other" / "net.csv"])
