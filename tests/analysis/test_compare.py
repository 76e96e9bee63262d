"""The comparison table in each of its forms."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import compare
from analysis.runs import open_runs
from sim.errors import RunError
from sim.records.tables import DEVICES
from tests.analysis.mmc_runs import empty, make_tables


@pytest.fixture
def runs(make_run):
    make_run("affinity[penalty=10]", manifest={"valid": False, "reasons": ["7% of the arrivals were late"]})
    nothing = make_tables("fifo")
    nothing["invocations"] = nothing["invocations"].assign(status="rejected", started_at_s=math.nan)
    folder = make_run("fifo", tables={**nothing, "devices": empty(DEVICES)}).parent
    make_run("sjf")
    return open_runs([folder])


def test_text_is_aligned_and_marks_what_a_reader_must_know(runs):
    lines = compare.as_text(compare.compare(runs)).splitlines()
    assert len({len(line) for line in lines[2:5]}) == 1
    ends = [i for i, (a, b) in enumerate(zip(lines[2], lines[2][1:] + " ", strict=True)) if a != " " == b]
    for line in lines[3:5]:
        assert all(line[end] != " " and (line + " ")[end + 1] == " " for end in ends[2:])
    assert lines[2].startswith("affinity[penalty=10] *  ")
    assert lines[3].split()[:5] == ["fifo", "0", "0", "-", "-"]
    assert lines[5:] == [
        "",
        "* affinity[penalty=10]: INVALID: 7% of the arrivals were late",
        *[line for line in lines if line.startswith("affinity[penalty=10]: of 2,000")],
        "fifo: of 2,000 invocations, 2,000 rejected",
        *[line for line in lines if line.startswith("sjf: of 2,000")],
    ]


def test_numbers_in_the_table_are_those_of_the_summary(runs):
    row = compare.compare(runs).rows[2]
    summary = runs[2].summary
    by_column = dict(zip((c.keys for c in compare.COLUMNS), row[1:], strict=True))
    shares = summary["gpu_frac"]
    assert by_column[("gpu_frac", "kernels")] == f"{100 * shares['kernels']:.1f}"
    occupied = shares["kernels"] + shares["loads"] + shares["dispatch"]
    assert float(by_column[("gpu_frac", "idle")]) == pytest.approx(100 * occupied, abs=0.05001)
    assert by_column[("completed",)] == f"{summary['completed']:,}"
    assert float(by_column[("latency_s", "p99")]) == pytest.approx(summary["latency_s"]["p99"], rel=0.005)
    assert by_column[("cache_hit_frac",)] == f"{100 * summary['cache_hit_frac']:.1f}"
    assert float(by_column[("h2d_bytes",)]) == pytest.approx(summary["h2d_bytes"] / 1e9, rel=0.005)


def test_a_long_label_takes_several_lines_and_keeps_the_numbers_aligned(make_run):
    policy = "fifo[" + ",".join(f"parameter_{i}=0.{i}" for i in range(6)) + "]"
    long = make_run("fifo", name="long", manifest={"policy": policy})
    lines = compare.as_text(compare.compare(open_runs([long]))).splitlines()
    shown = "".join(line[:32].strip() if i == 0 else line.strip() for i, line in enumerate(lines[2:]) if line)
    assert shown.startswith("fifo[parameter_0=0.0,")
    assert max(map(len, lines)) < 140


def test_markdown_has_a_cell_for_each_column(runs):
    lines = compare.as_markdown(compare.compare(runs)).splitlines()
    assert [line.count("|") for line in lines[:5]] == [len(compare.COLUMNS) + 2] * 5
    assert lines[2].startswith(r"| affinity[penalty=10] \* |")
    assert r"\* affinity[penalty=10]: INVALID: 7% of the arrivals were late" in lines


def test_latex_is_a_tabular_with_its_signs_escaped(runs):
    text = compare.as_latex(compare.compare(runs))
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert text.startswith(r"\begin{tabular}{lrrrrrrrrrrrrr}")
    assert [row.count(" & ") for row in rows] == [len(compare.COLUMNS)] * 4
    assert r"cache hits \%" in rows[0]
    assert r"INVALID: 7\% of the arrivals were late" in text


def test_latex_escapes_every_special_sign(make_run):
    run = make_run(n=5, manifest={"policy": r"a_b$c~d^e\f{g}#h&i%"})
    expected = r"a\_b\$c\textasciitilde{}d\textasciicircum{}e\textbackslash{}f\{g\}\#h\&i\% & "
    assert expected in compare.as_latex(compare.compare(open_runs([run])))


def test_csv_and_json_have_every_number_unrounded(runs):
    records = list(csv.DictReader(io.StringIO(compare.as_csv(runs))))
    objects = json.loads(compare.as_json(runs))
    for run, record, value in zip(runs, records, objects, strict=True):
        settings = {
            "label": run.label,
            "path": str(run.path),
            "gpus": 4,
            "seed": 0,
            "window": None,
            "device": "v100-kaas",
        }
        assert value == {**settings, **run.summary}
        assert {name: record[name] for name in settings} == {
            k: "" if v is None else str(v) for k, v in settings.items()
        }
        assert record["latency_s.p99"] == str(run.summary["latency_s"]["p99"] or "")
        assert record["reasons"] == "; ".join(run.summary["reasons"])


def test_lists_of_a_replay_stand_in_a_cell(runs):
    run = replace(runs[0], summary={**runs[0].summary, "steadiness": {"losses": [{"worker": 1}, "two"]}})
    (record,) = csv.DictReader(io.StringIO(compare.as_csv([run])))
    assert record["steadiness.losses"] == '{"worker": 1}; two'


def test_a_summary_without_a_key_is_told(make_run):
    path = make_run(n=5)
    summary = json.loads((path / "summary.json").read_text())
    del summary["latency_s"]["p90"]
    (path / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(RunError, match=r"summary\.json: lacks the key 'latency_s\.p90'"):
        compare.compare(open_runs([path]))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1234567, "1,230,000"),
        (1234, "1,230"),
        (999.6, "1,000"),
        (9.999, "10.0"),
        (1.5, "1.50"),
        (0.01234, "0.0123"),
        (0.00012, "0.000120"),
        (1e-7, "1.00e-07"),
        (-2.5, "-2.50"),
    ],
)
def test_three_digits(value, text):
    assert compare.digits(value) == text


@given(st.floats(1e-12, 1e12))
def test_three_digits_are_enough_for_half_a_percent(value):
    assert float(compare.digits(value).replace(",", "")) == pytest.approx(value, rel=0.005001)


def scenario(policy="fifo", gpus=4, seed=0, window=None, calibration="v100-kaas", sha256="0", **others):
    """Entries of the manifest of a run that was made so."""
    fleet = {"gpus": gpus, "calibration": calibration}
    return {
        "policy": policy,
        "scenario": {"seed": seed, "window": window, "policies": [policy], "fleet": fleet, **others},
        "calibration": {"name": calibration.removesuffix(".json"), "sha256": sha256},
    }


def test_settings_in_which_runs_differ_are_columns(make_run):
    for n in (4, 8):
        folder = make_run(name=f"{n}", n=5, manifest=scenario(gpus=n, seed=n, window="08:00-09:00")).parent
    table = compare.compare(open_runs([folder]))
    assert [head for head, _ in table.heads[:4]] == ["policy", "gpus", "seed", "completed"]
    assert [row[:3] for row in table.rows] == [["fifo", "4", "4"], ["fifo", "8", "8"]]
    assert not [note for note in table.notes if "differ" in note]
    for line in compare.as_markdown(table).splitlines()[:4]:
        assert line.count("|") == len(compare.COLUMNS) + 4
    assert compare.as_latex(table).startswith(r"\begin{tabular}{lrrrr")


def test_what_has_no_column_is_in_the_first_one(make_run):
    for name, scale in (("a", 1.0), ("b", 2.0)):
        make_run(name=name, n=5, manifest=scenario(window=name, rate_scale=scale))
    folder = make_run("sjf", name="c", n=5, manifest=scenario("sjf", rate_scale=1.0)).parent
    rows = compare.compare(open_runs([folder])).rows
    assert [row[:2] for row in rows] == [["fifo, rate_scale 1", "a"], ["fifo, rate_scale 2", "b"],
                                         ["sjf, rate_scale 1", "-"]]  # fmt: skip


def test_differences_that_no_label_shows_are_told(make_run):
    make_run(name="a", n=5, manifest=scenario(traces=["/days/1/morning.csv"]))
    folder = make_run(name="b", n=5, manifest=scenario(traces=["/days/2/morning.csv"], sha256="1")).parent
    notes = compare.compare(open_runs([folder])).notes
    assert notes[-1] == "These runs differ in traces, calibration too"


def test_warnings_stand_below_in_all_forms_for_people_and_in_the_others(make_run):
    warned = make_run(n=5, warnings=["not steady: 7 more wait at the end"])
    runs = open_runs([warned, make_run("sjf", n=5)])
    table = compare.compare(runs)
    for text in (compare.as_text(table), compare.as_markdown(table), compare.as_latex(table)):
        assert "fifo: warning: not steady: 7 more wait at the end" in text.splitlines()
        assert "sjf: warning" not in text
    assert [run.get("warnings") for run in json.loads(compare.as_json(runs))] == [runs[0].summary["warnings"], None]
    records = list(csv.DictReader(io.StringIO(compare.as_csv(runs))))
    assert [record["warnings"] for record in records] == ["not steady: 7 more wait at the end", ""]


def test_a_users_names_stand_in_place_of_labels(make_run):
    runs = open_runs([make_run(n=5, warnings=["w"]), make_run("sjf", n=5)])
    table = compare.compare(runs, ["first", "second"])
    assert [row[0] for row in table.rows] == ["first", "second"]
    assert "first: warning: w" in table.notes
    with pytest.raises(RunError, match="must be given once for each run: there are 2 runs and 1 labels"):
        compare.compare(runs, ["first"])
