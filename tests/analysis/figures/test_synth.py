"""The figure that overlays published and synthetic curves."""

from dataclasses import dataclass

import numpy as np
import pytest

from analysis.figures.style import check_file
from analysis.figures.synth import comparison_figure, draw
from sim.errors import OutputError, RunError


@dataclass(frozen=True)
class Curve:
    title: str
    x_label: str
    published: tuple
    measured: tuple


def curve(title="Rate", n_points=3):
    x = np.geomspace(1, 1000, 50)
    points = np.geomspace(2, 500, n_points)
    return Curve(title, "Invocations a day", (points, np.linspace(0.1, 0.9, n_points)), (x, np.linspace(0, 1, 50)))


def test_each_curve_has_a_panel_with_both():
    figure = comparison_figure([curve("one"), curve("two"), curve("three")])
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["one", "two", "three"]
    published, synthetic = figure.axes[0].lines
    assert published.get_xdata() == pytest.approx([2, np.sqrt(1000), 500])
    assert len(synthetic.get_xdata()) == 50
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["published", "synthetic"]


@pytest.mark.parametrize(("n_points", "style"), [(3, "None"), (40, "-")])
def test_a_few_published_points_stand_alone(n_points, style):
    published = comparison_figure([curve(n_points=n_points)]).axes[0].lines[0]
    assert published.get_linestyle() == style


def test_the_same_curves_give_the_same_bytes(tmp_path):
    for suffix in ("png", "pdf", "svg"):
        files = [tmp_path / f"{name}.{suffix}" for name in "ab"]
        for file in files:
            draw([curve()], file)
        assert files[0].read_bytes() == files[1].read_bytes()
    assert len(list(tmp_path.iterdir())) == 6


def test_a_file_that_cant_be_is_named(tmp_path):
    with pytest.raises(RunError, match=r"must end in \.png, \.pdf, \.svg"):
        check_file(tmp_path / "a.gif")
    with pytest.raises(OutputError, match=r"a\.png: there is no directory .*nowhere"):
        check_file(tmp_path / "nowhere" / "a.png")
    with pytest.raises(OutputError, match="can't be written"):
        draw([curve()], tmp_path / "nowhere" / "a.png")
