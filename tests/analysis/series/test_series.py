"""The tables that figures draw: they are what the runs say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.dataset import open_dataset
from analysis.series.kinds import KINDS, check, check_report, file_name, series
from analysis.study_report import FigureSpec
from sim.errors import RunError, ScenarioError
from tests.analysis.studies import write_study
from tests.analysis.sweeps import GPUS, POLICIES, SEEDS

AT = {"gpus": 2}


def drawn(dataset, figure, where=AT, **settings):
    return series(dataset, FigureSpec(figure, where, settings))


def latencies(dataset, policy, gpus):
    """Of the completed invocations of each seed."""
    rows = dataset.where({"policy": policy, "gpus": gpus})
    frames = [dataset.open(run).table("invocations") for run in rows["run"]]
    done = [frame[frame["status"] == "completed"] for frame in frames]
    return [(frame["completed_at_s"] - frame["arrival_at_s"]).to_numpy() for frame in done]


@pytest.mark.parametrize("policy", POLICIES)
def test_distributions_are_of_all_seeds_with_the_least_and_greatest_of_them(small_sweep, policy):
    each = latencies(small_sweep, policy, 2)
    pooled = np.concatenate(each)
    for figure, share_of in (
        ("cdf", lambda values, x: np.mean(values <= x)),
        ("ccdf", lambda values, x: np.mean(values >= x)),
    ):
        table = drawn(small_sweep, figure).table.query("policy == @policy")
        inner = table[1:] if figure == "cdf" else table
        assert len(inner) > 100
        np.testing.assert_allclose(inner["share"], [share_of(pooled, x) for x in inner["x"]], rtol=1e-9)
        np.testing.assert_allclose(inner["low"], [min(share_of(v, x) for v in each) for x in inner["x"]], atol=1e-9)
        np.testing.assert_allclose(inner["high"], [max(share_of(v, x) for v in each) for x in inner["x"]], atol=1e-9)
        assert (table["seeds"] == SEEDS).all()


def test_attainment_counts_all_invocations_at_each_scale(small_sweep):
    table = drawn(small_sweep, "attainment").table.query("policy == 'affinity'")
    good, n = np.zeros(len(table)), 0
    for run in map(small_sweep.open, small_sweep.where({"policy": "affinity", **AT})["run"]):
        rows, functions = run.table("invocations"), run.table("functions")
        isolated_s = functions["isolated_s"].to_numpy()[rows["function"]]
        done = (rows["status"] == "completed").to_numpy()
        latency_s = np.where(done, rows["completed_at_s"] - rows["arrival_at_s"], np.inf)
        good += [(latency_s <= scale * isolated_s).sum() for scale in table["x"]]
        n += len(rows)
    np.testing.assert_allclose(table["share"], good / n, atol=1.5 / n)  # a product and a ratio round differently


def test_figures_are_of_measured_invocations(small_sweep, monkeypatch):
    """Warm-up and cool-down are not."""
    run = small_sweep.open(small_sweep.where({"policy": "affinity", **AT})["run"].iloc[0])
    arrivals = run.table("invocations")["arrival_at_s"]
    measured = {**run.summary["measured"], "from_s": 20.0, "until_s": 40.0}
    cut = replace(run, summary=run.summary | {"measured": measured})
    monkeypatch.setattr(type(small_sweep), "open", lambda _, __: cut)
    n = int(((arrivals >= 20) & (arrivals < 40)).sum())
    where = {"policy": "affinity", "seed": 0, **AT}
    assert drawn(small_sweep, "functions", where).table["invocations"].sum() == n
    assert drawn(small_sweep, "ccdf", where).table["share"].iloc[-1] == pytest.approx(1 / n)
    kept = drawn(small_sweep, "attainment", where).table["share"] * n
    np.testing.assert_allclose(kept, kept.round(), atol=1e-9)


def test_lines_are_means_over_seeds_and_each_point_names_its_runs(small_sweep):
    found = drawn(small_sweep, "lines", {}, metric="p99", x="gpus")
    assert found.table["x"].tolist() == list(GPUS) * len(POLICIES)
    assert list(dict.fromkeys(found.table["policy"])) == list(small_sweep.report.looks)
    for _, point in found.table.iterrows():
        rows = small_sweep.where({"policy": point["policy"], "gpus": point["x"]})
        assert point["mean"] == pytest.approx(rows["latency_s.p99"].mean())
        assert point["low"] < point["mean"] < point["high"]
        assert point["runs"].split() == list(rows["run"])
        assert point["unsteady"] == sum("not steady" in text for text in rows["warnings"])
    assert sorted(found.runs) == sorted(small_sweep.frame["run"])


def test_the_fewest_that_are_needed_meet_the_limit_with_all_more_of_them_and_are_steady(tmp_path):
    dataset = open_dataset(write_study(tmp_path / "study", factors={"gpus": [1, 2, 4, 8]}))
    means = {1: 0.5, 2: 2.0, 4: 0.4, 8: 0.3}  # one is good by accident, for two are not
    frame = dataset.frame.assign(**{"latency_s.p99": dataset.frame["gpus"].map(means)})
    frame.loc[(frame["policy"] == "affinity") & (frame["gpus"] == 8), "warnings"] = "not steady: it grew"
    found = drawn(replace(dataset, frame=frame), "needed", {}, limit=1.0).table.set_index("policy")
    assert found.loc["balance", "gpus"] == 4
    assert np.isnan(found.loc["affinity", "gpus"])
    assert (found["most"] == 8).all()


def test_the_ends_of_the_interval_say_how_sure_the_fewest_are(tmp_path):
    dataset = open_dataset(write_study(tmp_path / "study", factors={"gpus": [1, 2, 4]}, seeds=range(4)))
    spread = dataset.frame["seed"].map({0: -0.4, 1: 0.4, 2: -0.2, 3: 0.2})
    values = dataset.frame["gpus"].map({1: 1.2, 2: 0.9, 4: 0.1}) + spread
    frame = dataset.frame.assign(**{"latency_s.mean": values})
    found = drawn(replace(dataset, frame=frame), "needed", {}, limit=1.0, metric="mean-latency").table
    assert (found[["low", "gpus", "high"]] == [1, 2, 4]).all().all()
    above = drawn(replace(dataset, frame=frame), "needed", {}, limit=1.0, metric="goodput_per_s").table
    assert (above["gpus"] == 1).all(), "of what should be high, more than the limit is enough"


def test_parts_add_up_to_the_mean_latency(small_sweep):
    table = drawn(small_sweep, "breakdown").table
    for policy, rows in table.groupby("policy"):
        assert rows["mean_s"].sum() == pytest.approx(np.concatenate(latencies(small_sweep, policy, 2)).mean())


def test_cold_starts_are_means_of_the_workers_that_got_ready(small_sweep):
    table = drawn(small_sweep, "coldstart").table
    runs = [small_sweep.open(run) for run in small_sweep.where({"policy": "keepalive", **AT})["run"]]
    workers = pd.concat([run.table("workers") for run in runs])
    ready = workers[workers["ready_at_s"].notna()]
    found = table[table["policy"] == "keepalive"].set_index("part")
    assert found.loc["runtime", "mean_s"] == pytest.approx(ready["runtime_s"].mean())
    assert (found["starts"] == len(ready)).all()
    assert (table[table["policy"] == "affinity"]["starts"] == 0).all(), "its executors were there from the start"


@pytest.mark.parametrize(("part", "columns"), [("kernels", ["busy_s"]), ("occupied", None)])
def test_the_map_has_the_time_of_every_gpu(small_sweep, part, columns):
    columns = columns or ["busy_s", "load_s", "dispatch_s", "startup_s"]
    table = drawn(small_sweep, "heat", part=part).table.query("policy == 'affinity'")
    devices = small_sweep.open(table["run"].iloc[0]).table("devices")
    end_s = table["end_at_s"].max()
    spent = table.assign(s=table["share"] * (table["end_at_s"] - table["start_at_s"])).groupby("gpu")["s"].sum()
    inside = devices[devices["start_at_s"] < end_s]
    wanted = inside.groupby("device")[columns].sum().sum(axis=1)
    np.testing.assert_allclose(spent, wanted, rtol=0.02)
    assert table["share"].between(0, 1).all()


def test_residency_adds_up_to_the_stays(small_stays, small_sweep):
    table = drawn(small_stays, "residency", {}).table
    for policy, rows in table.groupby("policy"):
        stays = small_stays.open(rows["run"].iloc[0]).table("residency")
        end_s = rows["end_at_s"].max()
        inside_s = stays["left_at_s"].fillna(end_s).clip(upper=end_s) - stays["loaded_at_s"].clip(upper=end_s)
        spent = (rows["mean_bytes"] * (rows["end_at_s"] - rows["start_at_s"])).sum()
        assert spent > 0
        assert spent == pytest.approx((inside_s * stays["bytes"]).sum()), policy
    with pytest.raises(RunError, match="has no table residency; simulate run --stays writes it"):
        drawn(small_sweep, "residency")


def test_functions_fare_as_their_invocations_did(small_sweep):
    rows = drawn(small_sweep, "functions").table.query("policy == 'affinity'").set_index("function")
    frames = []
    for run in map(small_sweep.open, small_sweep.where({"policy": "affinity", **AT})["run"]):
        invocations, functions = run.table("invocations"), run.table("functions")
        joined = invocations[invocations["status"] == "completed"].merge(functions, on="function")
        latency_s = joined["completed_at_s"] - joined["arrival_at_s"]
        frames.append(pd.DataFrame({"key": joined["key"].astype(str), "slowdown": latency_s / joined["isolated_s"]}))
    by_key = pd.concat(frames).groupby("key")["slowdown"]
    np.testing.assert_allclose(rows["value"], by_key.mean()[rows.index])
    assert (rows["invocations"] == by_key.size()[rows.index]).all()


def test_fairness_has_jains_index_of_the_summaries(small_sweep):
    table = drawn(small_sweep, "fairness").table
    for policy, rows in table.groupby("policy"):
        assert rows["value"].is_monotonic_increasing
        assert rows["share"].iloc[-1] == 1
        wanted = small_sweep.where({"policy": policy, **AT})["jain_fairness"].mean()
        assert rows["jain"].iloc[0] == pytest.approx(wanted)


def test_a_point_is_dominated_by_what_is_as_good_in_all_and_better_in_one(tmp_path):
    policies = {"balance": 1.0, "affinity": 1.0, "keepalive": 1.0, "static": 1.0}
    dataset = open_dataset(write_study(tmp_path / "study", policies=policies, factors={"gpus": [2]}, seeds=[0]))
    points = {"balance": (1.0, 0.5), "affinity": (1.0, 0.6), "keepalive": (2.0, 0.9), "static": (0.1, 0.99)}
    frame = dataset.frame.assign(
        **{
            "latency_s.p99": dataset.frame["policy"].map(lambda policy: points[policy][0]),
            "jain_fairness": dataset.frame["policy"].map(lambda policy: points[policy][1]),
        }
    )
    frame.loc[frame["policy"] == "static", "warnings"] = "not steady: it grew"
    found = drawn(replace(dataset, frame=frame), "pareto", {}).table.set_index("policy")["dominated"]
    assert found.to_dict() == {"balance": True, "affinity": False, "keepalive": False, "static": True}


def test_simulated_runs_are_paired_with_measured_ones(tmp_path):
    simulated = open_dataset(write_study(tmp_path / "simulated", seeds=[0]))
    write_study(tmp_path / "measured", seeds=[0, 1, 2], policies={"balance": 1.0, "affinity": 0.8})
    found = drawn(simulated, "validation", {}, against="../measured").table
    assert set(found["policy"]) == {"balance", "affinity"}
    row = found.query("policy == 'affinity' and gpus == 4 and quantile == 'p99'").iloc[0]
    measured = open_dataset(tmp_path / "measured").where({"policy": "affinity", "gpus": 4})["latency_s.p99"]
    ours = simulated.where({"policy": "affinity", "gpus": 4})["latency_s.p99"].iloc[0]
    assert row["error_frac"] == pytest.approx(ours / measured.mean() - 1)
    assert (row["measured_low"], row["measured_high"]) == (measured.min(), measured.max())
    write_study(tmp_path / "other", policies={"exclusive": 1.0, "static": 1.0})
    with pytest.raises(RunError, match="no run has the policy, gpus of a run in"):
        drawn(simulated, "validation", {}, against="../other")


def test_invalid_runs_are_left_out_and_it_is_said(small_sweep):
    frame = small_sweep.frame.copy()
    bad = (frame["policy"] == "affinity") & (frame["seed"] == 0) & (frame["gpus"] == 2)
    frame.loc[bad, "valid"] = False
    found = drawn(replace(small_sweep, frame=frame), "lines", {}, metric="p99", x="gpus")
    assert "Left out: 1 INVALID run of 18 (1 of affinity)." in found.notes
    assert not set(frame.loc[bad, "run"]) & set(found.runs)
    with pytest.raises(RunError, match="no valid run to draw with gpus=2"):
        drawn(replace(small_sweep, frame=frame.assign(valid=False)), "cdf")


def test_factors_that_no_axis_shows_have_panels_but_one_alone(tmp_path):
    dataset = open_dataset(write_study(tmp_path / "study", factors={"gpus": [1, 2], "rate_scale": [0.5, 1, 2]}))
    table = drawn(dataset, "lines", {}, metric="p99", x="gpus").table
    assert list(dict.fromkeys(table["panel"])) == [f"Load (times that of the trace): {x}" for x in (0.5, 1.0, 2.0)]
    with pytest.raises(RunError, match=r"differ in gpus: 1, 2; rate_scale: 0\.5, 1\.0, 2\.0, at most one of which"):
        drawn(dataset, "breakdown", {})
    with pytest.raises(RunError, match=r"differ in rate_scale: .*, which this figure can't show; choose with --where"):
        drawn(dataset, "heat", {"gpus": 1})


@pytest.mark.parametrize(
    ("figure", "settings", "message"),
    [
        ("lins", {}, "f: unknown figure 'lins', did you mean 'lines'"),
        ("lines", {"y": 1}, "f: unknown key 'y'; the keys of lines are where, name, width, metric, x"),
        ("lines", {"x": "gpu"}, "f: x: unknown factor 'gpu', did you mean 'gpus'"),
        ("lines", {"metric": "p98"}, "f: metric: unknown metric 'p98'"),
        ("lines", {"metric": 99}, "f: metric: is 99, must be text"),
        ("needed", {}, "f: the key 'limit' is missing; needed needs it"),
        ("needed", {"limit": "1s"}, "f: limit: is '1s', must be a number"),
        ("cdf", {"time": "sojourn"}, "f: time: is 'sojourn', must be one of latency, queue, pool"),
        ("cdf", {"width": "wide"}, "f: width: 'wide' must be column, text or a number of inches from 3 to 30"),
        ("cdf", {"name": "a/b"}, "f: name: is 'a/b', must be letters, digits, - and _"),
        ("pareto", {"cost": "price"}, "f: cost: unknown metric 'price'"),
    ],
)
def test_what_a_figure_may_be_told_is_checked(figure, settings, message):
    with pytest.raises(ScenarioError) as caught:
        check(FigureSpec(figure, {}, settings), "f", ["gpus"])
    assert str(caught.value).startswith(message)


def test_a_report_is_checked_before_its_study_is_run():
    factors = {"policy": ["balance", "affinity"], "rate_scale": [0.5, 1]}
    good = {"baseline": "balance", "figures": [{"figure": "lines", "x": "rate_scale"}, {"figure": "cdf"}]}
    assert [spec.figure for spec in check_report(good, factors, "s.yaml: report").figures] == ["lines", "cdf"]
    for figures, message in (
        ([{"figure": "cdf", "where": {"rate_scale": 2}}], "figures[0]: where: rate_scale: is 2, must be one of 0.5, 1"),
        ([{"figure": "needed", "limit": 1}], "figures[0]: the study has no factor gpus, of which needed looks"),
        ([{"figure": "cdf"}, {"figure": "cdf"}], "figures[1]: has the files cdf of s.yaml: report: figures[0] too"),
    ):
        with pytest.raises(ScenarioError) as caught:
            check_report({"figures": figures}, factors, "s.yaml: report")
        assert str(caught.value).startswith(f"s.yaml: report: {message}")


def test_files_are_called_by_what_a_figure_is_told():
    spec = FigureSpec("lines", {"policy": "keepalive[ttl=60]"}, {"metric": "latency_s.p90", "x": "gpus"})
    assert file_name(spec) == "lines-latency_s_p90-gpus-policykeepalive_ttl_60_"
    assert file_name(FigureSpec("cdf", {}, {"name": "mine"})) == "mine"


def test_every_kind_says_what_it_draws():
    assert all(kind.__doc__ for kind in KINDS.values())
