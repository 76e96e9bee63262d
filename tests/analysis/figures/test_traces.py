"""The figure of a trace: readable in every case, and it shows what the figures say."""

import matplotlib
import numpy as np
import pytest

from analysis.figures.style import STYLE
from analysis.figures.traces import draw, trace_figure
from sim.errors import OutputError
from tests.analysis.figures.test_figures import check_readable


@pytest.fixture(autouse=True)
def _style():
    with matplotlib.style.context(["default", STYLE]):
        yield


def figures_of(n_functions=50_000, bins=288, bin_s=300.0, cv=True, memory=True, invocations=True, spread=1.0):
    """What ``summarise`` gives, of a day of many functions."""
    percentiles = np.linspace(-2.5, 2.5, 101) * spread
    rank = np.unique(np.rint(np.geomspace(1, n_functions, 200)).astype(int))
    share = rank**-1.5 if invocations else 0.0 * rank
    rate = 1000 + 500 * np.sin(np.arange(bins) / 45) if invocations else np.zeros(bins)
    return {
        "window_s": [0.0, bins * bin_s],
        "rate": {"bin_s": bin_s, "bins_per_s": rate.tolist(), "max_per_s": float(rate.max())},
        "popularity": {"rank": rank.tolist(), "rank_frac": (share / max(share.sum(), 1e-9)).tolist()},
        "iat_cv": {"percentiles": np.exp(percentiles).tolist() if cv else None},
        "duration_s": {
            "of_functions": np.exp(np.maximum(2.36 * percentiles - 0.38, -6.9)).tolist(),
            "of_invocations": np.exp(np.maximum(3 * percentiles - 3, -6.9)).tolist() if invocations else None,
        },
        "memory_bytes": {"percentiles": (2**27 * np.exp(percentiles / 2)).tolist() if memory else None},
    }


CASES = {
    "a day": {},
    "no memory": {"memory": False},
    "too few arrivals": {"cv": False, "invocations": False},
    "one function for a minute": {"n_functions": 1, "bins": 1, "bin_s": 60.0, "cv": False, "spread": 0.0},
    "two functions": {"n_functions": 2, "bins": 60, "bin_s": 60.0, "spread": 0.1},
    "two weeks": {"bins": 336, "bin_s": 3600.0},
    "a wide spread": {"spread": 2.0},
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_figure_is_readable(case):
    figure = trace_figure(figures_of(**case))
    figure.draw_without_rendering()
    check_readable(figure)


def test_the_figure_shows_the_figures():
    figures = figures_of()
    panels = {axes.get_xlabel().partition(" (")[0]: axes for axes in trace_figure(figures).axes}
    assert list(panels) == ["Time", "Rank of function", "Inter-arrival CV", "Duration", "Memory"]
    (steps,) = panels["Time"].patches
    assert steps.get_data().values.tolist() == figures["rate"]["bins_per_s"]
    assert steps.get_data().edges[-1] == 24
    (popularity,) = panels["Rank of function"].lines
    assert popularity.get_ydata()[0] == pytest.approx(100 * figures["popularity"]["rank_frac"][0])
    functions, invocations = panels["Duration"].lines
    assert functions.get_xdata().tolist() == figures["duration_s"]["of_functions"]
    assert invocations.get_xdata().tolist() == figures["duration_s"]["of_invocations"]
    assert panels["Memory"].lines[0].get_xdata()[50] == pytest.approx(128)
    for axes in list(panels.values())[2:]:
        assert axes.lines[-1].get_ydata()[[0, 50, 100]].tolist() == [0, 0.5, 1]


def test_a_clock_is_at_the_left_end_of_the_axis():
    """No logarithm of 0: a CV below 0.01 is drawn there."""
    figures = figures_of()
    figures["iat_cv"]["percentiles"] = [0.0] * 50 + [2.0] * 51
    axes = next(a for a in trace_figure(figures).axes if a.get_xlabel() == "Inter-arrival CV")
    assert set(axes.lines[-1].get_xdata()) == {0.01, 2.0}


def test_a_file_that_can_not_be_written_is_an_error(tmp_path):
    file = tmp_path / "figure.png"
    file.mkdir()
    with pytest.raises(OutputError, match=r"figure\.png: is there already"):
        draw(figures_of(bins=5), file)
    assert list(tmp_path.iterdir()) == [file]
