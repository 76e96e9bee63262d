"""Figures of the KaaS study: what is drawn, from rows as the study makes them."""

from __future__ import annotations

from functools import partial

import matplotlib.style
import numpy as np
import pytest

from analysis.figures.kaas import latency, latency_cdf, micro, throughput
from analysis.figures.style import STYLE, put
from tests.analysis.figures.test_figures import check_readable


def row(workload, mode, clients, **cells):
    names = ("throughput_qps", "p50_s", "p90_s")
    empty = {f"{source}{name}": None for name in names for source in ("", "simulated_")}
    return empty | {"workload": workload, "mode": mode, "clients": clients} | cells


ROWS = [
    row("cGEMM", mode, n, simulated_throughput_qps=qps / n, simulated_p50_s=0.1 * n, simulated_p90_s=0.3 * n)
    for mode, qps in (("kaas", 90.0), ("exclusive", 40.0))
    for n in (1, 4, 8)
]
QUANTILES = {("cGEMM", mode, n): list(np.linspace(0.1, n, 201)) for mode in ("kaas", "exclusive") for n in (1, 2, 4, 8)}


@pytest.fixture(autouse=True)
def style():
    with matplotlib.style.context(["default", STYLE]):
        yield


def data(line):
    return list(zip(*(np.asarray(values, dtype=float).tolist() for values in line.get_data()), strict=True))


def test_a_mode_is_a_line_over_clients_and_measured_points_are_marks():
    measured = [*ROWS, row("cGEMM", "kaas", 2, throughput_qps=50.0, simulated_throughput_qps=45.0)]
    (axes,) = throughput(measured).axes
    kaas, marks, exclusive = axes.get_lines()
    assert data(kaas) == [(1, 90), (2, 45), (4, 22.5), (8, 11.25)]
    assert data(marks) == [(2, 50)]
    assert marks.get_linestyle() == "None"
    assert marks.get_color() == kaas.get_color() != exclusive.get_color()


def test_refused_points_are_left_out():
    rows = [*ROWS, row("cGEMM", "fractional", 17)]
    assert len(throughput(rows).axes[0].get_lines()) == 2


def test_a_single_point_can_be_seen():
    rows = [row("bert", "exclusive", 5, simulated_throughput_qps=0.6)]
    assert [line.get_marker() for line in throughput(rows).axes[0].get_lines()] == ["None", "+"]


@pytest.mark.parametrize(("n_workloads", "n_panels"), [(1, 1), (2, 2), (3, 3), (4, 4)])
def test_a_panel_a_workload(n_workloads, n_panels):
    rows = [row(f"w{i}", "kaas", 1, simulated_throughput_qps=1.0 + i) for i in range(n_workloads)]
    titles = [axes.get_title(loc="left") for axes in throughput(rows).axes]
    assert titles == [f"w{i}" for i in range(n_panels)]


def test_latency_is_shaded_from_the_median_to_the_90th_percentile():
    measured = [*ROWS, row("cGEMM", "kaas", 8, p90_s=2.0, simulated_p50_s=0.8, simulated_p90_s=2.4)]
    (axes,) = latency(measured).axes
    kaas, triangles, _ = axes.get_lines()
    assert (1, 0.1) in data(kaas)
    assert data(triangles) == [(8, 2.0)]
    assert triangles.get_marker() == "^"
    shade = axes.collections[0].get_paths()[0].vertices
    assert [1, pytest.approx(0.3)] in shade.tolist()


def test_distributions_are_of_the_fewest_a_middle_and_the_most_clients():
    figure = latency_cdf(QUANTILES)
    lines = figure.axes[0].get_lines()
    assert [float(line.get_xdata()[-1]) for line in lines] == [1, 4, 8, 1, 4, 8]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "kaas, 1|4|8 clients",
        "exclusive, 1|4|8 clients",
    ]


def test_bars_of_the_micro_benchmark_add_up():
    parts = {"kernel": 0.002, "init": 0.0, "copy": 0.001, "rest": 0.007}
    cells = {f"{source}{part}_s": s for source in ("simulated_", "") for part, s in parts.items()}
    rows = [
        {"mode": mode, "temperature": temperature} | cells
        for mode in ("kaas", "exclusive")
        for temperature in ("warm", "cold")
    ]
    others, started = micro(rows).axes
    assert len(others.patches) == 3 * 2 * 4
    assert len(started.patches) == 2 * 4
    assert max(bar.get_x() + bar.get_width() for bar in others.patches) == pytest.approx(10)


@pytest.mark.parametrize(
    ("figure", "words"),
    [
        (partial(throughput, ROWS), "Lines: simulated; circles: measured."),
        (partial(latency, ROWS), "shaded up to the 90th percentile"),
        (partial(latency_cdf, QUANTILES), "The more clients, the thicker the line."),
    ],
)
def test_what_lines_shades_and_marks_mean_is_written_below(figure, words):
    assert words in " ".join(figure().get_supxlabel().split())


@pytest.mark.parametrize("n_workloads", [1, 2, 3, 4])
def test_figures_are_readable(n_workloads):
    rows = [r | {"workload": f"workload {i}"} for i in range(n_workloads) for r in ROWS]
    quantiles = {(f"workload {i}", m, n): q for i in range(n_workloads) for (_, m, n), q in QUANTILES.items()}
    for figure in (throughput(rows), latency(rows), latency_cdf(quantiles)):
        figure.draw_without_rendering()
        check_readable(figure)


def test_the_same_rows_give_the_same_bytes(tmp_path):
    for name, make in (("throughput", partial(throughput, ROWS)), ("latency_cdf", partial(latency_cdf, QUANTILES))):
        files = [tmp_path / f"{name}{number}.{kind}" for kind in ("pdf", "png") for number in (1, 2)]
        put(make, *files[::2])
        put(make, *files[1::2])
        assert files[0].read_bytes() == files[1].read_bytes()
        assert files[2].read_bytes() == files[3].read_bytes()
