"""The page in a browser: it draws, and what a reader clicks on does what it says."""

from __future__ import annotations

import pytest

from tests.analysis.report.browser import CHROMIUM, browser
from tests.analysis.report.conftest import HOSTILE

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")

CDF = "charts.find(({figure}) => figure.id === 'cdf')"
ALL = ["cdf", "ccdf", "time", "queue", "gpu", "slowdown"]


@pytest.fixture(scope="module")
def window():
    with browser() as page:
        yield page


@pytest.fixture
def runs(window, run_page):
    yield from visit(window, run_page)


@pytest.fixture
def studied(window, study_page):
    yield from visit(window, study_page)


def visit(window, file):
    """The page in the window; afterwards it must neither have complained nor asked for anything."""
    window.said.clear()
    window.asked.clear()
    window.open(file)
    yield window
    assert window.said == []
    assert window.asked == [file.resolve().as_uri()]


def plots(page):
    """Of each figure its id and whether anything but the page's colour is on its canvas."""
    return page.run(
        """charts.map(({figure, node}) => {
            const canvas = node.querySelector("canvas");
            const pixels = canvas?.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data ?? [];
            return [figure.id, pixels.some((value) => value > 0)];
        })"""
    )


def column(page, table, head):
    return page.run(
        f"""(() => {{
            const table = document.getElementById({table!r});
            const heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
            return [...table.tBodies[0].rows].map((row) => row.cells[heads.indexOf({head!r})].textContent);
        }})()"""
    )


def click(page, selector, text):
    page.run(f"[...document.querySelectorAll({selector!r})].find((node) => node.textContent === {text!r}).click()")
    page.settle()


def choose(page, selector, index):
    page.run(
        f"""(() => {{
            const select = document.querySelector({selector!r});
            select.selectedIndex = {index};
            select.dispatchEvent(new Event("change"));
        }})()"""
    )
    page.settle()


def place(page):
    """Where the plot of the distribution is in the window: x, y, width, height."""
    return page.run(
        f"""(() => {{
            {CDF}.plot.over.scrollIntoView({{block: "center"}});
            const box = {CDF}.plot.over.getBoundingClientRect();
            return [box.x, box.y, box.width, box.height];
        }})()"""
    )


def test_every_figure_is_drawn(runs):
    assert plots(runs) == [["parts", False], *([figure, True] for figure in ALL)]
    shares = "[...bar.children].map((part) => parseFloat(part.style.width))"
    shares = f"[...document.querySelectorAll('.track')].map((bar) => {shares})"
    assert runs.run(shares) == [[pytest.approx(100 * part / 36, rel=1e-4) for part in range(1, 9)]] * 3


def test_a_study_has_its_metrics_too(studied):
    assert plots(studied) == [[figure, True] for figure in ["factors", *ALL]]


def test_hostile_names_are_shown_and_not_obeyed(runs):
    assert runs.run("document.images.length") == 0
    assert runs.run("document.title") == "Report on runs"
    assert HOSTILE.replace("\u2028", "\\u2028") in runs.run("document.querySelector('.bad').textContent")


def test_a_name_in_the_legend_hides_its_line_everywhere(runs):
    count = "charts.flatMap(({plot}) => (plot ? [plot.series.filter((series, i) => i && series.show).length] : []))"
    assert runs.run(count) == [3] * len(ALL)
    click(runs, ".key", "fifo")
    assert runs.run(count) == [2] * len(ALL)
    choose(runs, "#figure-cdf select", 0)  # drawn anew
    assert runs.run(count) == [2] * len(ALL)
    assert runs.run("[...document.querySelectorAll('.key')].map((key) => key.ariaPressed)") == ["true", "false", "true"]
    assert runs.run("document.querySelectorAll('.track').length") == 2
    click(runs, ".key", "fifo")
    assert runs.run(count) == [3] * len(ALL)


def test_axes_are_linear_or_logarithmic(runs):
    scale = "charts.find(({figure}) => figure.id === 'ccdf').plot.scales.y.distr"
    assert runs.run(scale) == 3
    choose(runs, "#figure-ccdf select[name=yLog]", 0)
    assert runs.run(scale) == 1


def test_dragging_zooms_and_the_button_goes_back(runs):
    limits = f"['x', 'y'].flatMap((key) => [{CDF}.plot.scales[key].min, {CDF}.plot.scales[key].max])"
    before = runs.run(limits)
    x, y, width, height = place(runs)
    runs.drag(x + 0.25 * width, y + 0.25 * height, x + 0.75 * width, y + 0.75 * height)
    left, right, low, high = runs.run(limits)
    assert before[0] < left < right < before[1]
    assert 0.2 < low < 0.3
    assert 0.7 < high < 0.8
    click(runs, "#figure-cdf button", "reset zoom")
    assert runs.run(limits) == before


def test_under_the_pointer_are_the_values_of_all_lines(runs):
    x, y, width, _ = place(runs)
    runs.hover(x + width - 2, y + 20)
    said = runs.run(f"{CDF}.readout.textContent")
    assert said.count("100 %") == 3
    assert "fifo: " in said


def test_a_click_on_a_head_sorts_by_number_and_then_the_other_way(runs):
    assert column(runs, "by-run", "policy") == ["exclusive", "fifo", "sjf"]
    head = "latency p99 s"
    click(runs, "#by-run button", head)
    rising = [float(text) for text in column(runs, "by-run", head)]
    assert rising == sorted(rising)
    assert column(runs, "by-run", "policy") != ["exclusive", "fifo", "sjf"]
    assert runs.run("document.querySelector('#by-run [aria-sort]').getAttribute('aria-sort')") == "ascending"
    click(runs, "#by-run button", head)
    assert [float(text) for text in column(runs, "by-run", head)] == rising[::-1]
    click(runs, "#by-run button", "verdict")
    assert column(runs, "by-run", "verdict") == ["INVALID", "not steady", "valid"]


def test_factors_are_chosen_for_all_figures(studied):
    greatest = f"{CDF}.plot.series.slice(1).map((series) => series.line.latency[0].at(-1))"
    shown = [studied.run(greatest)]
    choose(studied, "select[name=at-0]", 1)
    choose(studied, "select[name=at-1]", 1)
    shown.append(studied.run(greatest))
    runs = {tuple(group["at"]): group["runs"] for group in studied.run("DATA.groups")}
    assert shown == [[run["latency"][0][-1] for run in runs[at]] for at in ((0, 0), (1, 1))]
    assert plots(studied) == [[figure, True] for figure in ["factors", *ALL]]


def test_a_metric_stands_against_the_factor_that_is_chosen(studied):
    drawn = "charts[0].plot.data.slice(0, 2)"
    assert studied.run(drawn)[0] == [2, 4]
    choose(studied, "#figure-factors select[name=factor]", 1)
    places, means = studied.run(drawn)
    assert places == [0, 1]
    assert means == [
        studied.run(f"DATA.points.find((p) => p.line === 0 && p.at[1] === {i}).measures[0][0]") for i in (0, 1)
    ]


@pytest.mark.parametrize("name", ["run_page", "study_page"])
def test_a_phone_needs_no_sideways_scrolling(window, name, request):
    window.open(request.getfixturevalue(name), width=390, height=800)
    assert window.run("document.documentElement.scrollWidth") == 390
    assert window.run("charts.every(({plot}) => !plot || (plot.width <= 390 && plot.width > 300))")


def test_dark_screens_have_light_ink(window, run_page):
    window.open(run_page, dark=True)
    assert window.run("charts[1].plot.axes[0].stroke()") == "#e6edf3"
    assert window.run("getComputedStyle(document.body).backgroundColor") == "rgb(18, 22, 27)"


def test_print_is_black_on_white_and_fits(window, run_page):
    window.open(run_page, dark=True)
    window.call("Emulation.setEmulatedMedia", media="print", features=[])
    window.run("dispatchEvent(new Event('beforeprint'))")
    window.settle()
    assert window.run("charts[1].plot.axes[0].stroke()") == "#000"
    assert window.run("charts.flatMap(({plot}) => plot?.width ?? [])") == [335] * len(ALL)
    window.run("dispatchEvent(new Event('afterprint'))")
    assert window.pdf().startswith(b"%PDF")
