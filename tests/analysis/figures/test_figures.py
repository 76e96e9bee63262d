"""Figures: readable in every case, the same bytes for the same tables."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from analysis.curves import horizon_s, measure, plot_labels
from analysis.figures import runs as figures
from analysis.figures.axes import named_durations, plain, time_unit
from analysis.figures.style import MAX_RUNS, STYLE, line_of
from analysis.runs import open_runs
from analysis.series.widths import TEXT_WIDTH_IN, WIDTH_IN
from sim.errors import RunError
from sim.records.tables import DEVICES, GPU_PARTS, INVOCATIONS
from tests.analysis.figures.overlaps import overlapping_texts
from tests.analysis.mmc_runs import INTERVAL_S, N_GPUS, POLICIES, empty, make_tables

REPO = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _style():
    """Figures are measured under the settings that they are drawn with."""
    with matplotlib.style.context(["default", STYLE]):
        yield


def curves_of(*paths):
    runs = open_runs(paths)
    horizon = horizon_s(runs)
    return [measure(run, label, horizon) for run, label in zip(runs, plot_labels(runs), strict=True)]


def test_distributions_are_of_measured_invocations_and_time_is_of_all(make_run):
    (run,) = open_runs([make_run()])
    measured = replace(run, summary=run.summary | {"measured": {"from_s": 100.0, "until_s": 400.0}})
    whole, cut = (measure(one, "fifo", horizon_s([one])) for one in (run, measured))
    rows = run.table("invocations").query("status == 'completed' and 100 <= arrival_at_s < 400")
    latency_s = rows.completed_at_s - rows.arrival_at_s
    assert (cut.latency_s[0][0], cut.latency_s[0][-1]) == (latency_s.min(), latency_s.max())
    assert len(cut.slowdown[0]) == rows.function.nunique() + 1
    assert cut.slowdown[0][-1] != whole.slowdown[0][-1]
    np.testing.assert_array_equal(cut.queue_length, whole.queue_length)


def drawn(curves, width_in=WIDTH_IN):
    """Every figure by name, laid out."""
    result = {name: figure_of(curves, width_in) for name, figure_of in figures.FIGURES.items()}
    for figure in result.values():
        figure.draw_without_rendering()
    return result


def texts(figure: Figure) -> list[str]:
    """Every text that is shown, without the spaces and line breaks that wrapping moves."""
    return ["".join(text.get_text().split()) for text in figure.findobj(Text) if text.get_visible()]


def check_readable(figure: Figure, width_in: float = WIDTH_IN) -> None:
    """Fits the column; nothing sticks out; legend and small print are clear of the axes; no offsets; no texts that
    overlap."""
    width, height = figure.get_size_inches()
    assert width == width_in
    box = figure.get_tightbbox()
    assert box.x0 > -0.02
    assert box.y0 > -0.02
    assert box.x1 < width + 0.02
    assert box.y1 < height + 0.02
    if figure.get_supylabel():
        beside = figure._supylabel.get_window_extent()
        assert not any(beside.overlaps(legend.get_window_extent()) for legend in figure.legends)
        assert not figure.get_supxlabel() or not beside.overlaps(figure._supxlabel.get_window_extent())
    for axes in figure.axes:
        assert axes.get_window_extent().height / figure.dpi > 0.1
        for legend in figure.legends:
            assert legend.get_window_extent().y0 >= axes.get_window_extent().y1 - 1
        if figure.get_supxlabel():
            below = axes.get_tightbbox() if axes.axison else axes.get_window_extent()
            assert figure._supxlabel.get_window_extent().y1 <= below.y0 + 1
        for axis in (axes.xaxis, axes.yaxis):
            assert not axis.get_offset_text().get_text()
    for text in figure.findobj(Text):
        assert text.get_fontsize() >= 7
    assert overlapping_texts(figure) == []


def none_completed(tables):
    invocations = tables["invocations"].assign(
        status="unfinished", started_at_s=np.nan, completed_at_s=np.nan, cold=False
    )
    return {**tables, "invocations": invocations, "devices": empty(DEVICES)}


def one(tables):
    return {**tables, "invocations": tables["invocations"].iloc[100:101], "devices": tables["devices"][:1]}


def all_the_same(tables):
    start = tables["invocations"]["arrival_at_s"]
    return {
        **tables,
        "invocations": tables["invocations"].assign(
            status="completed", started_at_s=start, completed_at_s=start + 0.25
        ),
    }


def no_invocations(tables):
    return {**tables, "invocations": empty(INVOCATIONS), "devices": empty(DEVICES)}


@pytest.mark.parametrize("change", [none_completed, one, all_the_same, no_invocations])
def test_odd_runs_give_readable_figures(make_run, change):
    result = drawn(curves_of(make_run(tables=change(make_tables("fifo")))))
    for figure in result.values():
        check_readable(figure)
    unseen = "Noinvocationcompleted" in texts(result["latency_cdf"])
    assert unseen == (change in (none_completed, no_invocations))


@pytest.mark.parametrize(("simulated_s", "unit"), [(1.0, "s"), (600.0, "min"), (86400.0, "h"), (864000.0, "days")])
def test_time_is_in_a_unit_that_suits_the_run(make_run, simulated_s, unit):
    result = drawn(curves_of(make_run(simulated_s=simulated_s, n=200)))
    for name in ("latency_over_time", "queue_length", "gpu_utilisation"):
        check_readable(result[name])
        assert any(text.startswith(f"Time({unit}),inintervalsof") for text in texts(result[name]))
    assert time_unit(simulated_s)[1] == unit


@pytest.mark.parametrize("width_in", [3.0, WIDTH_IN, TEXT_WIDTH_IN])
@pytest.mark.parametrize("n_runs", [1, 3, MAX_RUNS])
def test_any_number_of_runs_is_readable_at_any_width_and_each_is_named(make_run, n_runs, width_in):
    paths = [
        make_run(policy, name=f"{k}-{policy}", n=100, seed=k)
        for k, policy in zip(range(n_runs), itertools.cycle(POLICIES))
    ]
    curves = curves_of(*paths)
    for figure in drawn(curves, width_in).values():
        check_readable(figure, width_in)
        assert {c.label.replace(" ", "") for c in curves} <= set(texts(figure))


def test_very_long_labels_are_wrapped_whole(make_run):
    policy = "fifo[" + ",".join(f"parameter_{i}=0.{i}" for i in range(12)) + "]$x$" + "ABCDEFGHIJKLMNOPQRSTUVWXYZ" * 3
    result = drawn(curves_of(make_run(manifest={"policy": policy}), make_run("sjf")))
    for figure in result.values():
        check_readable(figure)
        assert policy in texts(figure)
    panels = result["cold_starts_evictions"].axes
    assert not any(axes.patch.get_visible() for axes in panels)  # a background would hide what runs over it


def test_invalid_and_empty_runs_say_so_in_the_legend(make_run):
    bad = make_run("sjf", manifest={"valid": False})
    none = make_run(tables=none_completed(make_tables("fifo")))
    for figure in drawn(curves_of(bad, none)).values():
        assert {"sjf(INVALID)", "fifo(nonecompleted)"} <= set(texts(figure))


def test_warnings_are_marked_where_the_run_is_named_and_said_below(make_run):
    unsteady = "not steady: 70 more wait at the end"
    one = make_run("sjf", n=50, warnings=[unsteady, "limited by the frontend: 171 requests/s"])
    other = make_run(n=50, warnings=["not steady: 90 more wait at the end"])
    for figure in drawn(curves_of(one, other, make_run("exclusive", n=50))).values():
        check_readable(figure)
        assert {"sjf†‡", "fifo†", "exclusive"} <= set(texts(figure))
        assert figure.get_supxlabel().splitlines()[-2:] == ["† not steady", "‡ limited by the frontend"]


def test_what_lines_and_dots_mean_is_written_below(make_run):
    said = {name: " ".join(figure.get_supxlabel().split()) for name, figure in drawn(curves_of(make_run(n=50))).items()}
    assert said["slowdown"].startswith("Below: median (dot), middle half (thick) and 5% to 95% (thin)")
    assert said["queue_length"].startswith("All that have arrived and not started on a GPU")
    assert said["gpu_utilisation"] == "Numbers: means of what is drawn, in %."


def test_gpu_time_is_stacked_and_its_means_are_told(make_run):
    path = make_run(n=1500)
    (c,) = curves_of(path)
    axes = drawn([c])["gpu_utilisation"].axes[0]
    *parts, top = (patch.get_data() for patch in axes.patches)
    np.testing.assert_allclose([p.values - p.baseline for p in parts], 100 * c.gpu_frac)
    assert all((upper.baseline == lower.values).all() for lower, upper in itertools.pairwise(parts))
    assert (top.values == parts[-1].values).all()
    shares = open_runs([path])[0].summary["gpu_frac"]
    (numbers,) = axes.texts
    assert numbers.get_text() == "\n".join(f"{part} {100 * share:.0f}" for part, share in shares.items())


def test_intervals_of_gpu_time_are_told_where_all_runs_have_the_same(make_run):
    """Those of a long run's table are longer."""
    (c,) = curves_of(make_run(n=100))
    coarse = replace(c, gpu_edges_s=c.gpu_edges_s[::2], gpu_frac=c.gpu_frac[:, ::2][:, : len(c.gpu_edges_s[::2]) - 1])
    for other, told in ((c, True), (coarse, False)):
        said = texts(drawn([c, other])["gpu_utilisation"])
        assert any("inintervalsof" in text for text in said) == told
        assert any(text.startswith("Time(") for text in said)


def test_the_tail_goes_down_to_the_slowest_invocation(make_run):
    tables = make_tables("fifo", n=500)
    (axes,) = drawn(curves_of(make_run(tables=tables)))["latency_ccdf"].axes
    done = tables["invocations"].query("status == 'completed'")
    latency_s = (done["completed_at_s"] - done["arrival_at_s"]).to_numpy()
    x, share = axes.lines[0].get_data()
    np.testing.assert_allclose(share, [np.mean(latency_s >= at_s) for at_s in x])
    assert (x[-1], axes.get_yscale(), axes.get_xscale()) == (latency_s.max(), "log", "log")


def test_long_latencies_are_named_in_minutes_and_hours(make_run):
    tables = make_tables("fifo", n=500)
    invocations = tables["invocations"]
    tables["invocations"] = invocations.assign(
        status="completed", completed_at_s=invocations["arrival_at_s"] + np.geomspace(0.05, 90_000, len(invocations))
    )
    result = drawn(curves_of(make_run(tables=tables)))
    for name in ("latency_cdf", "latency_ccdf", "latency_over_time"):
        check_readable(result[name])
        axes = result[name].axes[0]
        axis = axes.yaxis if name == "latency_over_time" else axes.xaxis
        assert not axis.get_label_text().endswith("(s)")
        assert {"1min", "1h"} <= {"".join(t.get_text().split()) for t in axis.get_ticklabels()}


@pytest.mark.parametrize(
    ("low_s", "high_s", "names"),
    [
        (0.02, 73_000, ["20 ms", "1 s", "1 min", "1 h"]),
        (900, 4_000, ["20 min", "30 min", "1 h"]),
        (4_000, 4_100, ["1 h", "2 h"]),
        (1e-4, 1e7, ["1 ms", "1 s", "1 h", "10 d"]),
    ],
)
def test_durations_are_named_in_a_unit_that_suits_each(low_s, high_s, names):
    ticks = named_durations(low_s, high_s)
    assert list(ticks.values()) == names
    assert list(ticks) == sorted(ticks)


@pytest.mark.parametrize("latency_s", [1001.0, 4000.0, 5e5, 3e8, 5e9])
def test_any_long_latency_can_be_drawn(make_run, latency_s):
    tables = make_tables("fifo", n=50)
    done = tables["invocations"]["arrival_at_s"] + latency_s
    tables["invocations"] = tables["invocations"].assign(status="completed", completed_at_s=done)
    for figure in drawn(curves_of(make_run(tables=tables))).values():
        check_readable(figure)


def test_a_run_has_the_same_line_everywhere_and_no_other_run_has_it(make_run):
    lines = [tuple(map(str, line_of(place).values())) for place in range(MAX_RUNS)]
    assert len(set(lines)) == MAX_RUNS
    curves = curves_of(*(make_run(policy, n=100) for policy in list(POLICIES)[:3]))
    result = drawn(curves)
    for name in ("latency_cdf", "latency_ccdf", "latency_over_time", "queue_length", "slowdown"):
        axes = result[name].axes[0]
        shown = [line for line in axes.lines if line.get_linestyle() != "None"]
        assert [line.get_color() for line in shown] == [line_of(place)["color"] for place in range(3)]
        handles = result[name].legends[0].get_lines()
        assert [h.get_linestyle() for h in handles] == [line.get_linestyle() for line in shown]
    bars = result["cold_starts_evictions"].axes[1].patches
    assert [bar.get_width() for bar in bars] == [c.n_evicted for c in curves]


def test_curves_hold_what_the_tables_say(make_run):
    tables = make_tables("fifo")
    (c,) = curves_of(make_run(tables=tables))
    invocations, devices = tables["invocations"], tables["devices"]
    assert (c.n_cold, c.n_evicted) == (devices["n_cold"].sum(), devices["n_evicted"].sum())
    seconds = np.diff(c.gpu_edges_s)
    spent_s = [devices[column].sum() for column in GPU_PARTS.values()]
    assert ((c.gpu_frac * seconds).sum(axis=1) * N_GPUS).tolist() == pytest.approx(spent_s)
    assert c.gpu_frac.sum(axis=0).max() <= 1 + 1e-9
    left = invocations["started_at_s"].fillna(600.0).clip(upper=600.0)
    waited_s = (left - invocations["arrival_at_s"]).sum()
    assert (c.queue_length * np.diff(c.edges_s)).sum() == pytest.approx(waited_s)
    assert (c.latency_p50_s <= c.latency_p99_s)[~np.isnan(c.latency_p50_s)].all()


def test_busy_time_is_never_drawn_finer_than_the_devices_table(make_run):
    (c,) = curves_of(make_run(simulated_s=60.0, n=50))
    assert len(c.edges_s) == 61
    assert np.diff(c.gpu_edges_s).min() == INTERVAL_S


def test_runs_share_their_intervals_and_end_with_the_shortest(make_run):
    short, long = curves_of(make_run(simulated_s=100.0, n=50), make_run("sjf", simulated_s=600.0, n=50))
    assert list(short.edges_s) == list(long.edges_s) == [2.0 * i for i in range(51)]
    assert len(long.queue_length) == len(long.latency_p99_s) == 50
    assert long.gpu_edges_s[-1] >= 100 > long.gpu_edges_s[-2]


def test_an_invalid_run_does_not_end_the_time_axis(make_run):
    runs = open_runs(
        [
            make_run("sjf", simulated_s=1.0, manifest={"valid": False, "reasons": ["cut"]}, n=5),
            make_run(simulated_s=90.0, n=50),
        ]
    )
    assert horizon_s(runs) == 90.0


def test_the_same_tables_give_the_same_bytes(make_run, tmp_path):
    """In another process, with another hash seed, another time and a matplotlibrc that would spoil all."""
    paths = [make_run(policy, n=200) for policy in ("fifo", "sjf")]
    (tmp_path / "matplotlibrc").write_text("font.size: 20\nsavefig.dpi: 50\npdf.fonttype: 3\n")
    code = "from analysis.cli import main; main()"
    environment = {
        **os.environ,
        "PYTHONHASHSEED": "5",
        "SOURCE_DATE_EPOCH": "86400",
        "MATPLOTLIBRC": str(tmp_path / "matplotlibrc"),
    }
    subprocess.run(
        [sys.executable, "-c", code, "plot", *map(str, paths), "-o", str(tmp_path / "b")],
        check=True,
        cwd=REPO,
        env=environment,
        capture_output=True,
    )
    (tmp_path / "a").mkdir()
    here = figures.draw(curves_of(*paths), tmp_path / "a")
    assert len(here) == 14
    for name in here:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_pdf_fonts_are_embedded_truetype_and_settings_stay_alone(make_run, tmp_path):
    with matplotlib.rc_context({"font.size": 13.0, "pdf.fonttype": 3}):
        before = dict(matplotlib.rcParams)
        figures.draw(curves_of(make_run(n=20)), tmp_path)
        assert dict(matplotlib.rcParams) == before
    data = (tmp_path / "latency_cdf.pdf").read_bytes()
    assert b"/FontFile2" in data
    assert b"/Type3" not in data
    assert b"CreationDate" not in data


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.05, "0.05"), (0.1 + 0.2, "0.3"), (20, "20"), (5000, "5k"), (12500, "12.5k"), (3e6, "3M")],
)
def test_ticks_are_plain(value, text):
    assert plain(value) == text


def test_contradictions_between_files_are_told(make_run):
    tables = make_tables("fifo", n=50)
    tables["functions"] = tables["functions"][:1]
    with pytest.raises(RunError, match=r"invocations\.parquet: function \d+ is not a row of functions\.parquet"):
        curves_of(make_run(tables=tables))


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ({"interval_s": 0}, r"manifest\.json: interval_s is 0; it must be a number above 0"),
        ({"simulated_s": None}, r"manifest\.json: simulated_s is None; it must be a number above 0"),
        ({"simulated_s": True}, "simulated_s is True"),
        ({"scenario": {"fleet": {}}}, r"manifest\.json: lacks the key 'scenario\.fleet\.gpus'"),
        ({"scenario": None}, r"manifest\.json: lacks the key 'scenario\.fleet\.gpus'"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_told(make_run, manifest, message):
    with pytest.raises(RunError, match=message):
        curves_of(make_run(n=5, manifest=manifest))
