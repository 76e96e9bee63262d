"""The key report of a study."""

from __future__ import annotations

import pytest

from analysis.study_report import DEFAULT_METRICS, Look, read_report
from sim.errors import ScenarioError

POLICIES = ["affinity", "balance"]


def read(data):
    return read_report(data, "study.yaml: report", POLICIES, ["gpus"])


def test_a_full_report():
    report = read(
        {
            "baseline": "balance",
            "metrics": ["p99", "gpu_frac.idle"],
            "policies": {"balance": None, "affinity": {"label": "CFS-affinity", "colour": "#0072B2"}},
            "figures": [{"figure": "cdf", "where": {"gpus": 4}}, {"figure": "lines", "metric": "p99", "x": "gpus"}],
        }
    )
    assert report.baseline == "balance"
    assert [measure.column for measure in report.measures] == ["latency_s.p99", "gpu_frac.idle"]
    assert report.looks == {"balance": Look("balance", None, 0), "affinity": Look("CFS-affinity", "#0072B2", 1)}
    assert list(report.looks) == ["balance", "affinity"]
    cdf, lines = report.figures
    assert (cdf.figure, cdf.where, cdf.settings) == ("cdf", {"gpus": 4}, {})
    assert (lines.figure, lines.where, lines.settings) == ("lines", {}, {"metric": "p99", "x": "gpus"})


def test_an_empty_report_has_defaults_and_a_look_of_every_policy():
    report = read({})
    assert report.baseline is None
    assert tuple(measure.name for measure in report.measures) == DEFAULT_METRICS
    assert report.looks == {"affinity": Look("affinity", None, 0), "balance": Look("balance", None, 1)}
    assert report.figures == ()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ([], "must be a mapping"),
        ({"base": "balance"}, "unknown key 'base'"),
        ({"baseline": "balanc"}, "did you mean 'balance'"),
        ({"policies": {"x": {}}}, "policies: unknown policy of this study 'x'"),
        ({"policies": {"balance": {"color": "#000000"}}}, "unknown key 'color'"),
        ({"policies": {"balance": {"colour": "red"}}}, "colour: is 'red', must be six hexadecimal digits"),
        ({"policies": {"balance": {"label": "affinity"}}}, "have the label 'affinity'"),
        ({"metrics": ["p98"]}, "unknown metric 'p98'"),
        ({"metrics": "p99"}, "must be a list"),
        ({"figures": {}}, "figures: is {}, must be a list"),
        ({"figures": ["cdf"]}, r"figures\[0\]: is 'cdf', must be a mapping with the key figure"),
        ({"figures": [{"figure": "cdf", "where": {"gpu": 4}}]}, "unknown factor 'gpu', did you mean 'gpus'"),
        ({"figures": [{"figure": "cdf", "where": 4}]}, "must be a mapping of factors"),
        ({"figures": [{"figure": "cdf", "x": ["gpus"]}]}, "x: is .*, must be text or a number"),
        ({"figures": [{"figure": "cdf", "where": {"gpus": True}}]}, "where: gpus: is True"),
    ],
)
def test_what_makes_no_sense_is_refused(data, told):
    with pytest.raises(ScenarioError, match=f"study.yaml: report.*{told}"):
        read(data)
