"""Policies of a data set against a baseline, and ``analyze compare``."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats

from analysis import effects
from analysis.cli import main
from analysis.comparison import _verdict, compare_policies
from analysis.dataset import open_dataset
from analysis.measures import measure
from analysis.onerun import inside, paired_inside
from sim.errors import RunError
from sim.records.results import open_run
from tests.analysis.mmc_runs import make_tables
from tests.analysis.studies import write_study

REPORT = {"baseline": "balance", "metrics": ["mean-latency", "p99"], "policies": {"affinity": {"label": "CFS"}}}


def effects_of(path, *measures, **options):
    data = open_dataset(write_study(path / "out", **options))
    return compare_policies(data, "balance", [measure(name) for name in measures])


def verdicts(effects):
    return {(effect.policy, *effect.at.values()): effect.verdict for effect in effects}


def test_a_better_policy_is_told_from_one_that_is_the_same(tmp_path):
    effects = effects_of(tmp_path, "p99", seeds=range(10))
    assert verdicts(effects) == {
        ("affinity", 2): "better",
        ("affinity", 4): "better",
        ("keepalive[ttl=60]", 2): "no difference shown",
        ("keepalive[ttl=60]", 4): "no difference shown",
    }
    better = effects[0]
    assert better.pairing.ratio.low < 0.8 < better.pairing.ratio.high
    assert better.pairing.difference.method == better.pairing.ratio.method == "BCa"
    assert better.pairing.difference.estimate == pytest.approx(better.value - better.baseline_value)


def test_numbers_are_those_of_a_paired_t_test_with_holms_correction(tmp_path):
    effects = effects_of(tmp_path, "mean-latency")
    frame = open_dataset(tmp_path / "out").frame.set_index(["policy", "gpus"])["latency_s.mean"]
    raw = [
        stats.ttest_rel(frame[effect.policy, effect.at["gpus"]], frame["balance", effect.at["gpus"]]).pvalue
        for effect in effects
    ]
    assert [effect.pairing.p for effect in effects] == pytest.approx(raw)
    assert min(effect.p for effect in effects) == pytest.approx(4 * min(raw))


def test_which_way_is_better_depends_on_the_measure(tmp_path):
    effects = effects_of(tmp_path, "goodput", "latency_s.mean", "jain")
    assert [effect.verdict for effect in effects if effect.policy == "affinity"] == [
        *["better"] * 4,
        *["no difference shown"] * 2,
    ]
    data = open_dataset(tmp_path / "out")
    affinity = compare_policies(data, "affinity", [measure("p99")])
    assert verdicts(affinity)["balance", 2] == "worse"
    data.frame["gpu_frac.idle"] = data.frame["goodput_per_s"]
    assert verdicts(compare_policies(data, "balance", [measure("gpu_frac.idle")]))["affinity", 2] == "higher"


def test_a_run_that_is_not_steady_gets_no_number_and_no_interval(tmp_path):
    change = {("affinity", 3): {"warnings": "odd: 1; not steady: 7 wait"}}
    effects = effects_of(tmp_path, "p99", change=change)
    told = verdicts(effects)
    assert told["affinity", 2] == told["affinity", 4] == "not steady"
    assert told["keepalive[ttl=60]", 2] == "no difference shown"
    assert np.isnan(effects[0].value)
    assert not np.isnan(effects[0].baseline_value)
    assert not effects[0].pairing.difference.known
    assert not effects[0].pairing.ratio.known
    assert "piles up under the policy, so" in effects[0].notes[0]


def test_of_a_baseline_that_is_not_steady_nothing_can_be_told(tmp_path):
    effects = effects_of(tmp_path, "p99", change={("balance", 0): {"warnings": "not steady: 7 wait"}})
    assert set(verdicts(effects).values()) == {"not steady"}
    assert all(np.isnan(effect.baseline_value) and np.isnan(effect.p) for effect in effects)


def test_seeds_without_a_pair_are_left_out_and_named(tmp_path):
    change = {("balance", 1): {"valid": False, "error": "boom"}, ("affinity", 4): {"latency_s.p99": np.nan}}
    data = open_dataset(write_study(tmp_path / "out", change=change))
    frame = data.frame
    data = replace(data, frame=frame[(frame["policy"] != "affinity") | (frame["seed"] != 5)])
    effect = compare_policies(data, "balance", [measure("p99")])[0]
    assert effect.pairing.difference.n == 3
    assert effect.notes == (
        "seed 1 left out: the run of the baseline is invalid (boom)",
        "seed 4 left out: the run of the policy has no p99 latency",
        "seed 5 left out: the policy has no run of it",
    )


def test_a_number_that_no_run_has_is_no_verdict(tmp_path):
    effects = effects_of(tmp_path, "attainment")
    assert set(verdicts(effects).values()) == {"no value"}
    assert all(effect.notes == () for effect in effects)


def test_one_seed_without_tables_is_too_few(tmp_path):
    effects = effects_of(tmp_path, "mean-latency", "p99", seeds=[3])
    assert set(verdicts(effects).values()) == {"too few seeds"}
    assert "one run is no interval" in effects[0].notes[0]
    assert "only means of times" in effects[-1].notes[0]


def test_factors_that_are_not_told_apart_are_averaged_in_each_seed(tmp_path):
    data = open_dataset(write_study(tmp_path / "out"))
    both = compare_policies(data, "balance", [measure("mean-latency")], by=[])[0]
    means = data.frame.groupby(["policy", "seed"])["latency_s.mean"].mean()
    assert both.at == {}
    assert both.pairing.p == pytest.approx(stats.ttest_rel(means["affinity"], means["balance"]).pvalue)
    lost = data.frame[(data.frame["policy"] == "affinity") & (data.frame["seed"] == 0) & (data.frame["gpus"] == 2)]
    effect = compare_policies(
        replace(data, frame=data.frame.drop(lost.index)), "balance", [measure("mean-latency")], by=[]
    )[0]
    assert effect.notes == ("seed 0 left out: the policy has no run of it",)


def test_the_family_of_the_correction_is_what_is_shown(tmp_path):
    data = open_dataset(write_study(tmp_path / "out"))
    alone = compare_policies(data, "balance", [measure("p99")], where={"gpus": "4"})
    assert {effect.at["gpus"] for effect in alone} == {4}
    smallest = min(alone, key=lambda effect: effect.p)
    assert smallest.p == pytest.approx(2 * smallest.pairing.p)
    more = compare_policies(data, "balance", [measure("p99"), measure("p50")], where={"gpus": "4"})
    assert min(effect.p for effect in more) == pytest.approx(4 * smallest.pairing.p)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"baseline": None}, "names no baseline"),
        ({"baseline": "balanc"}, "did you mean 'balance'"),
        ({"by": ["gpu"]}, "did you mean 'gpus'"),
        ({"where": {"gpus": 3}}, "the values of gpus are 2, 4"),
        ({"where": {"policy": "balance"}}, "nothing to compare it with"),
        ({"measures": [measure("nothing.p99")]}, "unknown metric 'nothing.p99'"),
    ],
)
def test_what_the_data_set_lacks_is_refused(tmp_path, options, told):
    data = open_dataset(write_study(tmp_path / "out"))
    with pytest.raises(RunError, match=told):
        compare_policies(data, **{"baseline": "balance", "measures": [measure("p99")], **options})


def test_two_runs_of_one_point_are_refused(make_run, tmp_path):
    for name in ("a", "b"):
        make_run("fifo", name=name, n=20)
    make_run("sjf", n=20)
    with pytest.raises(RunError, match="two runs of policy fifo, seed 0"):
        compare_policies(open_dataset(tmp_path / "runs"), "fifo", [measure("p99")])


def served(tables, factor, seed=1):
    """The same arrivals, each of which takes so many seconds on average, whatever the others do."""
    rows = tables["invocations"].assign(status="completed")
    rows["completed_at_s"] = rows["arrival_at_s"] + factor * np.random.default_rng(seed).exponential(size=len(rows))
    return {**tables, "invocations": rows}


def test_one_long_run_of_each_policy_is_told_by_batches(make_run, tmp_path):
    tables = make_tables("fifo", n=6_000)
    make_run("fifo", tables=served(tables, 1.0))
    make_run("sjf", tables=served(tables, 0.5, seed=2))
    effect, of_p99 = compare_policies(
        open_dataset(tmp_path / "runs"), "fifo", [measure("mean-latency"), measure("p99")]
    )
    assert effect.verdict == "better"
    assert effect.pairing.ratio.low < 0.5 < effect.pairing.ratio.high
    assert effect.pairing.ratio.estimate == pytest.approx(effect.value / effect.baseline_value)
    assert "batches of the" in effect.notes[0]
    assert of_p99.verdict == "too few seeds"


def test_a_single_run_that_drifts_gets_no_interval(make_run, tmp_path):
    tables = make_tables("fifo", n=12_000)
    rows = tables["invocations"]
    growing = rows.assign(completed_at_s=rows["arrival_at_s"] + 0.01 * rows["arrival_at_s"])
    make_run("fifo", tables=tables)
    make_run("sjf", tables={**tables, "invocations": growing})
    (effect,) = compare_policies(open_dataset(tmp_path / "runs"), "fifo", [measure("mean-latency")])
    assert effect.verdict == "too few seeds"
    assert "10 batches depend on each other" in effect.notes[0]


def test_runs_of_other_arrivals_are_no_pair(make_run, tmp_path):
    make_run("fifo", n=2_000)
    make_run("sjf", n=1_999)
    (effect,) = compare_policies(open_dataset(tmp_path / "runs"), "fifo", [measure("mean-latency")])
    assert effect.verdict == "too few seeds"
    assert "must have the same arrivals" in effect.notes[0]


def test_a_difference_whose_interval_has_0_is_not_shown(tmp_path):
    """Where the bootstrap of skewed differences knows better than the t test, which is p."""
    effect = effects_of(tmp_path, "p99", seeds=range(10))[0]
    assert _verdict(effect, 0.01, 0.95) == "better"
    wide = replace(effect.pairing, difference=replace(effect.pairing.difference, high=0.1))
    assert _verdict(replace(effect, pairing=wide), 0.01, 0.95) == "no difference shown"


def test_runs_without_anything_that_both_completed_are_no_pair(make_run, tmp_path):
    tables = make_tables("fifo", n=50)
    make_run("fifo", tables=tables)
    lost = tables["invocations"].assign(status="failed")
    lost.loc[:0, "status"] = "completed"
    make_run("sjf", tables={**tables, "invocations": lost})
    data = open_dataset(tmp_path / "runs")
    (effect,) = compare_policies(data, "fifo", [measure("mean-latency")])
    assert "too short for batches" in effect.notes[0]
    run = data.open("sjf")
    nothing = replace(run, held={"invocations": lost.assign(status="failed")})
    with pytest.raises(RunError, match="no invocation that both completed"):
        paired_inside(nothing, run, measure("mean-latency"))
    with pytest.raises(RunError, match="completed no invocation"):
        inside(nothing, measure("mean-latency"))


def test_batches_are_of_what_a_run_measures(make_run):
    run = open_run(make_run("fifo", tables=served(make_tables("fifo", n=8_000), 1.0)))
    at_s = run.table("invocations")["arrival_at_s"]
    window = {"from_s": 60.0, "until_s": 500.0}
    found = inside(replace(run, summary={**run.summary, "measured": window}), measure("mean-latency"))
    assert found.n == ((at_s >= 60) & (at_s < 500)).sum()
    assert found.n_cut == 0


def test_effects_are_a_data_frame_in_python(tmp_path):
    frame = effects(open_dataset(write_study(tmp_path / "out")), "balance", ["p99"], where={"gpus": 2})
    assert frame["verdict"].tolist() == ["better", "no difference shown"]
    assert frame["policy"].tolist() == ["affinity", "keepalive[ttl=60]"]


def analyze(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture
def study(tmp_path):
    return write_study(tmp_path / "out", report=REPORT, change={("affinity", 2): {"valid": False, "error": "boom"}})


def test_the_table_takes_baseline_metrics_and_labels_from_the_study(study):
    result = analyze("compare", study)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0].split()[:4] == ["policy", "gpus", "metric", "balance"]
    assert lines[2].split()[0] == "CFS"
    assert lines[2].endswith("better")
    assert sum("p99 latency [s]" in line for line in lines) == 4
    assert "CFS at gpus 2, gpus 4: seed 2 left out: the run of the policy is invalid (boom)" in lines
    assert any(line.startswith("Means over runs") and "8 comparisons here" in line for line in lines)


def test_the_other_forms_have_the_same_rows(study):
    rows = list(csv.DictReader(io.StringIO(analyze("compare", study, "--format", "csv").output)))
    records = json.loads(analyze("compare", study, "--json").output)
    assert len(rows) == len(records) == 8
    assert float(rows[0]["difference_low"]) == records[0]["difference_low"]
    assert {"metric", "gpus", "policy", "value", "ratio_high", "p_adjusted", "verdict", "notes"} <= rows[0].keys()
    latex = analyze("compare", study, "--format", "latex").output
    assert latex.startswith(r"\begin{tabular}")
    assert r"& \textless{}0.001 & better \\" in latex
    assert "| CFS | 2 | mean latency [s] |" in analyze("compare", study, "--format", "markdown").output


def test_options_choose(study):
    args = ("--baseline", "affinity", "--metric", "p99, jain", "--where", "gpus=4", "--by", "gpus", "--confidence", 0.9)
    result = analyze("compare", study, *args)
    assert result.exit_code == 0
    assert result.output.splitlines()[1].split() == ["90", "%", "90", "%", "adjusted"]
    assert [line.split()[0] for line in result.output.splitlines()[2:6]] == ["balance", "keepalive[ttl=60]"] * 2


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--where", "gpus"), "must be FACTOR=VALUE"),
        (("--where", "gpus=2", "--where", "gpus=4"), "each factor once"),
        (("--metric", "p98"), "unknown metric 'p98'"),
        (("--baseline", "x"), "unknown policy 'x'"),
        (("--confidence", "95"), "range"),
    ],
)
def test_mistakes_are_one_sentence(study, args, told):
    result = analyze("compare", study, *args)
    assert result.exit_code == 2
    assert told in result.stderr
    assert result.stdout == ""


def test_the_interval_of_one_run(make_run):
    run = make_run("fifo", tables=served(make_tables("fifo", n=6_000), 1.0))
    result = analyze("interval", run)
    assert result.exit_code == 0
    assert result.output.startswith("mean latency [s]: ")
    assert "batch means" in result.output
    found = json.loads(analyze("interval", run, "--json", "--metric", "latency_s.mean").output)
    assert found["low"] < found["estimate"] < found["high"]
    assert found["n"] + found["n_cut"] == 6_000
    assert found["n_cut"] == 600


def test_what_has_no_interval_says_so(make_run, tmp_path):
    unsteady = make_run("fifo", n=2_000, warnings=["not steady: 7 wait"])
    assert "is not steady" in analyze("interval", unsteady).stderr
    assert "is no mean over invocations" in analyze("interval", unsteady, "--metric", "p99").stderr
    short = make_run("sjf", n=300)
    assert "no interval: the run is too short for batches" in analyze("interval", short).output
    assert "folder of 2 runs" in analyze("interval", tmp_path / "runs").stderr
