"""Figures of data sets: readable at both widths, what they draw is their table, and every policy looks the same."""

from __future__ import annotations

import itertools
from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex

from analysis.dataset import open_dataset
from analysis.figures.sets.draw import DRAWINGS
from analysis.figures.sets.panels import UNSTEADY, factor_axis, line_style, mark_style
from analysis.figures.style import STYLE, new_figure
from analysis.series.kinds import KINDS, series
from analysis.series.widths import TEXT_WIDTH_IN, WIDTH_IN
from analysis.study_report import FigureSpec, Look
from tests.analysis.figures.overlaps import overlapping_texts
from tests.analysis.figures.test_figures import check_readable, texts
from tests.analysis.studies import write_study
from tests.analysis.sweeps import POLICIES

ONE, ALL = {"gpus": 2}, {}
DRAWN = [
    ("cdf", ONE, {"time": "queue"}), ("ccdf", ALL, {}), ("attainment", ONE, {}), ("lines", ALL, {"metric": "p99"}),
    ("needed", ALL, {"limit": 1.0}), ("breakdown", ALL, {}), ("coldstart", ONE, {}), ("heat", ONE, {}),
    ("functions", ALL, {"quantity": "p99"}), ("fairness", ONE, {}), ("pareto", ALL, {}),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _style():
    with matplotlib.style.context(["default", STYLE]):
        yield


def figure_of(dataset, name, where=ONE, width_in=WIDTH_IN, looks=None, **settings):
    made = series(dataset, FigureSpec(name, where, settings))
    return DRAWINGS[name](made, looks or dataset.report.looks, width_in), made


def test_every_kind_is_drawn_and_every_drawing_is_tested():
    assert set(DRAWINGS) == set(KINDS) == {name for name, _, _ in DRAWN} | {"validation", "residency"}


@pytest.fixture(scope="module")
def columns(small_sweep):
    """Every figure for one column, by name: and its table."""
    with matplotlib.style.context(["default", STYLE]):
        return {name: figure_of(small_sweep, name, where, **settings) for name, where, settings in DRAWN}


@pytest.mark.parametrize("name", [name for name, _, _ in DRAWN])
def test_figures_are_readable_in_one_column(columns, name):
    check_readable(columns[name][0])


@pytest.mark.parametrize(("name", "where", "settings"), DRAWN)
def test_figures_are_readable_as_wide_as_the_text(small_sweep, name, where, settings):
    check_readable(figure_of(small_sweep, name, where, TEXT_WIDTH_IN, **settings)[0], TEXT_WIDTH_IN)


@pytest.mark.parametrize("width_in", [WIDTH_IN, TEXT_WIDTH_IN])
def test_long_names_are_readable(small_sweep, width_in):
    long = "mqfq-sticky[T=10,alpha=2,pool=4,ttl=600.0] with GreedyDual residency"
    looks = {name: replace(look, label=f"{look.order} {long}") for name, look in small_sweep.report.looks.items()}
    for name, where in (("cdf", ONE), ("lines", ALL), ("breakdown", ONE), ("heat", ONE)):
        check_readable(figure_of(small_sweep, name, where, width_in, looks)[0], width_in)


@pytest.mark.parametrize("width_in", [WIDTH_IN, TEXT_WIDTH_IN])
@pytest.mark.parametrize(
    "loads", [[0.1 * i for i in range(1, 20)], ["low", "a middling load", "very high load"], [0.5, 32]]
)
def test_any_factor_is_readable_on_an_axis_and_over_panels(tmp_path, loads, width_in):
    policies = {f"policy-{i}[ttl={i}]": 10.0**i for i in range(8)}
    study = write_study(tmp_path / "study", policies=policies, factors={"gpus": [2, 64], "load": loads}, seeds=[0, 1])
    dataset = open_dataset(study)
    for name, where, settings in (
        ("lines", {"gpus": 2}, {"x": "load"}),
        ("lines", {}, {"x": "load"}),
        ("needed", {}, {"x": "load", "limit": 1000.0}),
        ("pareto", {}, {}),
    ):
        figure, _ = figure_of(dataset, name, where, width_in, **settings)
        check_readable(figure, width_in)


@pytest.mark.parametrize("width_in", [WIDTH_IN, TEXT_WIDTH_IN])
def test_validation_is_readable_and_marks_stand_where_the_table_says(tmp_path, width_in):
    simulated = open_dataset(write_study(tmp_path / "simulated", seeds=[0]))
    write_study(tmp_path / "measured", seeds=[1, 2])
    figure, made = figure_of(simulated, "validation", {}, width_in, against="../measured")
    check_readable(figure, width_in)
    marks = {tuple(xy) for line in figure.axes[0].lines[1:] for xy in np.transpose(line.get_data())}
    assert marks == set(zip(made.table["measured"], made.table["simulated"], strict=True))


@pytest.mark.parametrize("width_in", [WIDTH_IN, TEXT_WIDTH_IN])
def test_residency_is_readable(small_stays, width_in):
    check_readable(figure_of(small_stays, "residency", ALL, width_in)[0], width_in)


def test_lines_are_drawn_through_the_table(small_sweep):
    for name, where, y in (("lines", ALL, "mean"), ("cdf", ONE, "share"), ("ccdf", ONE, "share")):
        figure, made = figure_of(small_sweep, name, where)
        full = [line for line in figure.axes[0].lines if line.get_linestyle() != "None"]
        for line, (_, rows) in zip(full, made.table.groupby("policy", sort=False), strict=True):
            np.testing.assert_allclose(line.get_xdata(), rows["x"].to_numpy(float))
            np.testing.assert_allclose(line.get_ydata(), rows[y])


def test_a_policy_has_the_same_colour_in_every_figure_and_its_own(columns, small_sweep):
    looks = small_sweep.report.looks
    wanted = {
        looks[p].label: c for p, c in (("keepalive", "#aa3377"), ("affinity", "#d55e00"), ("exclusive", "#009e73"))
    }
    for name in columns.keys() - {"breakdown", "coldstart", "heat"}:  # colours of those are of parts
        figure, _ = columns[name]
        legend = figure.legends[0]
        found = {
            text.get_text().removesuffix(" †"): to_hex(handle.get_color())
            for text, handle in zip(legend.get_texts(), legend.get_lines(), strict=True)
        }
        assert found == wanted, name
        colours = {to_hex(line.get_color()) for axes in figure.axes for line in axes.lines}
        assert colours - {"#b0b0b0"} <= set(wanted.values()), name


def test_policies_and_parts_differ_in_grey_too(columns):
    looks = [Look(str(i), "#000000", i) for i in range(8)]
    assert len({mark_style(look)["marker"] for look in looks}) == 8
    assert all(line_style(a)["linestyle"] != line_style(b)["linestyle"] for a, b in itertools.pairwise(looks))
    for name in ("breakdown", "coldstart"):
        hatches = [patch.get_hatch() for patch in columns[name][0].legends[0].get_patches()]
        assert len(set(hatches)) == len(hatches)


def test_what_is_not_steady_is_marked(columns):
    unsteady = "".join(UNSTEADY.split())
    for name, (figure, made) in columns.items():
        said = texts(figure)
        if name in ("lines", "pareto"):
            hollow = [
                line for axes in figure.axes for line in axes.lines if to_hex(line.get_markerfacecolor()) == "#ffffff"
            ]
            n_hollow = sum(len(line.get_xdata()) for line in hollow)
            assert n_hollow == len(figure.axes) * (made.table["unsteady"] > 0).sum()
        elif name != "needed":
            assert "exclusive†" in said, name
            assert any(f"†{unsteady}" in text for text in said), name


def test_invalid_runs_are_told_below(small_sweep):
    frame = small_sweep.frame.assign(valid=small_sweep.frame["seed"] > 0)
    for name, where in (("cdf", ONE), ("lines", ALL), ("breakdown", ONE), ("heat", ONE), ("pareto", ALL)):
        figure, _ = figure_of(replace(small_sweep, frame=frame), name, where)
        assert any("Leftout:" in text and "INVALIDruns" in text for text in texts(figure)), name


def test_one_seed_has_no_bands_and_no_word_of_them(small_sweep):
    frame = small_sweep.frame[small_sweep.frame["seed"] == 0]
    for name, where in (("cdf", ONE), ("lines", ALL), ("fairness", ONE)):
        figure, _ = figure_of(replace(small_sweep, frame=frame), name, where)
        check_readable(figure)
        assert not figure.axes[0].collections
        assert not any("seed" in text or "interval" in text for text in texts(figure))


def test_ticks_of_a_factor_are_its_values():
    axes = new_figure(2).subplots()
    assert factor_axis(axes, [4, 1, 2, 8, 1], {}) == {1: 1, 2: 2, 4: 4, 8: 8}
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2", "4", "8"]
    assert factor_axis(new_figure(2).subplots(), ["b", "a"], {"b": Look("b", None, 0)}) == {"b": 0, "a": 1}


def test_texts_that_overlap_are_found():
    figure = new_figure(2)
    axes = figure.subplots()
    assert overlapping_texts(figure) == []
    axes.text(0.5, 0.5, "one")
    axes.text(0.52, 0.5, "other")
    assert overlapping_texts(figure) == [("one", "other")]


def test_there_is_no_policy_without_a_drawing(small_sweep):
    figure, made = figure_of(small_sweep, "heat")
    assert set(made.table["policy"]) == set(POLICIES)
    assert len([axes for axes in figure.axes if axes.get_title(loc="left")]) == len(POLICIES)
