"""Comparisons and figures from Python."""

from __future__ import annotations

import pytest

from analysis import draw, effects, open_dataset
from sim.errors import RunError, ScenarioError
from tests.analysis.studies import write_study


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    place = tmp_path_factory.mktemp("api") / "study"
    return open_dataset(write_study(place, report={"baseline": "balance", "metrics": ["p99"]}))


def test_policies_are_compared_as_the_report_asks(data):
    frame = effects(data)
    assert list(frame.metric.unique()) == ["p99"]
    assert list(frame.baseline.unique()) == ["balance"]
    affinity = frame[frame.policy == "affinity"]
    assert list(affinity.gpus) == [2, 4]
    assert set(affinity.verdict) == {"better"}
    assert ((affinity.ratio_low < 0.8) & (affinity.ratio_high > 0.8)).all()


def test_what_is_asked_for_goes_before_the_report(data):
    frame = effects(data, "affinity", ["p50", "jain"], where={"gpus": 4}, by=())
    assert list(frame.policy) == ["balance", "keepalive[ttl=60]"] * 2
    assert list(frame.metric) == ["p50"] * 2 + ["jain"] * 2
    assert set(frame.verdict[:2]) == {"worse"}


@pytest.mark.parametrize(("names", "said"), [(("balanc",), "balanc"), (("balance", ["p98"]), "p98")])
def test_a_name_that_is_not_there_is_told(data, names, said):
    with pytest.raises(RunError, match=said):
        effects(data, *names)


def test_figures_are_drawn_that_are_named_or_that_the_study_asks_for(data, tmp_path):
    named = draw(data, tmp_path / "named", [{"figure": "lines", "metric": "p50", "x": "gpus"}])
    assert [file.name for file in named] == [f"lines-p50-gpus{suffix}" for suffix in (".pdf", ".png", ".csv")]
    asked = draw(data, tmp_path / "asked")
    assert {file.stem for file in asked} == {"comparison"}
    assert all(file.stat().st_size for file in (*named, *asked))


def test_a_figure_that_is_told_something_wrong_is_refused(data, tmp_path):
    with pytest.raises(ScenarioError, match="line"):
        draw(data, tmp_path / "figures", [{"figure": "line"}])
    assert not (tmp_path / "figures").exists()
