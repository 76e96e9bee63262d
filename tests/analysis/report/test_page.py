"""The page as a file: it loads nothing, obeys no name, and says what the runs say."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from analysis.cli import main
from analysis.metrics import latency_s
from analysis.report.data import MOST_DRAWN, groups
from analysis.report.page import page
from analysis.report.source import MOST_TOGETHER, open_source
from analysis.runs import open_runs
from sim.records.seal import seal
from tests.analysis.mmc_runs import make_tables, write_run
from tests.analysis.report.conftest import HOSTILE


class Parsed(HTMLParser):
    """Tags, the text of scripts and styles, and of cells by the id of their table."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.raw: list[tuple[str, str]] = []
        self.cells: dict[str | None, list[list[str]]] = {}
        self._at: list[str] = []
        self._table: str | None = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._at.append(tag)
        if tag == "table":
            self._table = dict(attrs).get("id")
        elif tag == "tr":
            self.cells.setdefault(self._table, []).append([])
        elif tag in ("td", "th"):
            self.cells[self._table][-1].append("")
        elif tag in ("script", "style"):
            self.raw.append((tag, ""))

    def handle_endtag(self, tag):
        while self._at and self._at.pop() != tag:
            pass

    def handle_data(self, data):
        tag = self._at[-1] if self._at else ""
        if tag in ("script", "style"):
            self.raw[-1] = (tag, self.raw[-1][1] + data)
        elif tag in ("td", "th"):
            self.cells[self._table][-1][-1] += data


def parsed(file):
    return Parsed(file.read_text("utf-8"))


def data_of(file):
    text = next(text for tag, text in parsed(file).raw if tag == "script")
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in the data"))


def table_of(file, name):
    heads, *rows = parsed(file).cells[name]
    return [dict(zip(heads, row, strict=True)) for row in rows]


@pytest.mark.parametrize("name", ["run_page", "study_page"])
def test_a_page_loads_nothing(name, request):
    page = parsed(request.getfixturevalue(name))
    assert {tag for tag, _ in page.tags}.isdisjoint({"link", "img", "iframe", "object", "embed", "base", "form"})
    for tag, attributes in page.tags:
        assert "src" not in attributes, tag
        assert (attributes.get("href") or "#").startswith("#"), tag
        assert not [key for key in attributes if key.startswith("on") or key == "style"], tag
    for _, text in page.raw:
        assert not re.search(r"url\(|@import|\bfetch\(|XMLHttpRequest|WebSocket|\bimport\(", text)


@pytest.mark.parametrize("name", ["run_page", "study_page"])
def test_the_policy_allows_the_scripts_of_the_page_and_nothing_else(name, request):
    page = parsed(request.getfixturevalue(name))
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split(";")}
    digests = [
        (tag, f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'") for tag, text in page.raw
    ]
    assert rules["default-src"] == ["'none'"]
    assert rules["script-src"] == [digest for tag, digest in digests if tag == "script"][1:]  # the first is data
    assert rules["style-src"] == [digest for tag, digest in digests if tag == "style"]
    assert len(rules["script-src"]) == 2


def test_names_are_text_wherever_they_stand(run_page):
    page = parsed(run_page)
    assert "img" not in {tag for tag, _ in page.tags}
    names = [row["function"] for row in table_of(run_page, "by-function")]
    assert any(name.startswith("</script><im") for name in names)
    text = run_page.read_text("utf-8")
    assert HOSTILE not in text
    assert "\u2028" not in text
    assert "onerror=&quot;" in text  # in the scenario, the reason and the trace


def test_a_page_is_small(run_page):
    page = parsed(run_page)
    assert sum(len(text) for _, text in page.raw[:1] + page.raw[2:]) < 100_000  # all but the data
    assert len(page.raw[1][1]) < 60_000
    assert run_page.stat().st_size < 250_000


def test_the_same_runs_give_the_same_page(study, study_page, tmp_path):
    assert page(open_source([study])) == study_page.read_text("utf-8")


def test_the_library_is_the_one_that_the_page_names(run_page):
    text = run_page.read_text("utf-8")
    assert re.search(r"uPlot \(v([\d.]+)\)", text)[1] == re.search(r"drawn by uPlot ([\d.]+),", text)[1]
    assert "Copyright (c) 2022 Leon Sorokin" in text


def test_distributions_are_those_of_the_tables(run_page):
    runs = {run.label: run for run in open_runs([run_page.parent / "runs"])}
    drawn = data_of(run_page)
    labels = [line["label"] for line in drawn["lines"]]
    for curves in drawn["groups"][0]["runs"]:
        run = runs[labels[curves["line"]].partition(" ")[0]]
        values = latency_s(run.table("invocations"))
        x, above = map(np.array, curves["latency"])
        assert above == pytest.approx([(values > at * (1 + 1e-5)).mean() for at in x], abs=2 / len(values))
        assert x[-1] == pytest.approx(values.max(), rel=1e-5)
        assert above[-1] == 0
        assert len(x) <= 400


def test_runs_that_count_less_are_told(run_page):
    verdicts = {row["policy"]: row["verdict"] for row in table_of(run_page, "by-run")}
    assert verdicts == {"fifo": "valid", "sjf": "not steady", "exclusive": "INVALID"}
    text = run_page.read_text("utf-8")
    assert '<li class="bad">INVALID: exclusive: cut ' in text
    assert "sjf: not steady: 5 waited, then 500" in text
    assert "exclusive (INVALID)" in [line["label"] for line in data_of(run_page)["lines"]]


def test_provenance_and_reproduction(run_page, study_page, study):
    text = run_page.read_text("utf-8")
    assert "v100-kaas, SHA-256 0" in text
    assert f"simulate run --scenario {run_page.parent / 'runs' / 'fifo' / 'scenario.yaml'}" in text
    assert "<summary>scenario.yaml of fifo</summary>" in text
    studied = study_page.read_text("utf-8")
    assert "simulate sweep study.yaml -o study" in studied
    assert "label: Shortest &lt;b&gt;first&lt;/b&gt;" in studied
    assert "<td>0-2</td>" in studied  # seeds


def test_a_study_has_the_looks_and_the_order_that_it_asks_for(study_page):
    lines = data_of(study_page)["lines"]
    assert [line["label"] for line in lines] == ["Shortest <b>first</b>", "fifo"]
    assert lines[0]["colour"] == "#123456"


def test_means_over_seeds_stand_at_their_factors(study, study_page):
    drawn = data_of(study_page)
    frame = open_source([study]).dataset.frame
    assert [factor["name"] for factor in drawn["factors"]] == ["gpus", "sharing"]
    assert [factor["values"] for factor in drawn["factors"]] == [[2, 4], ["mps", "turns"]]
    assert drawn["measures"][0] == {"label": "p99 latency", "unit": "s"}
    assert len(drawn["points"]) == 8
    for point in drawn["points"]:
        gpus, sharing = (factor["values"][i] for factor, i in zip(drawn["factors"], point["at"], strict=True))
        policy = ["sjf", "fifo"][point["line"]]
        rows = frame[(frame.gpus == gpus) & (frame.sharing == sharing) & (frame.policy == policy)]
        mean, low, high = point["measures"][0]
        assert point["seeds"] == 3
        assert mean == pytest.approx(rows["latency_s.p99"].mean(), rel=1e-3)
        assert high - mean == pytest.approx(4.3027 * rows["latency_s.p99"].std() / 3**0.5, rel=2e-3)  # t(2) at 97.5 %
        assert low < mean


def test_the_runs_have_what_the_study_wants_to_know(study, study_page):
    frame = open_source([study]).dataset.frame.set_index("run")
    rows = table_of(study_page, "by-run")
    assert len(rows) == len(frame) == 24
    for row in rows:
        assert float(row["longest latency [s]"]) == pytest.approx(frame.loc[row["run"], "latency_s.max"], rel=5e-3)


def test_the_comparison_has_a_verdict_for_each_point(study_page):
    rows = table_of(study_page, "by-effect")
    assert len(rows) == 2 * 4  # metrics, points
    assert {row["policy"] for row in rows} == {"Shortest <b>first</b>"}
    assert {row["verdict"] for row in rows if row["metric"] == "p99 latency [s]"} <= {"better", "no difference shown"}


def test_of_many_runs_some_are_drawn(tmp_path):
    runs = tmp_path / "runs"
    tables = make_tables("fifo", n=50)
    for gpus in range(1, MOST_DRAWN + 3):
        scenario = {"seed": 0, "window": None, "policies": ["fifo"], "fleet": {"gpus": gpus}}
        write_run(runs / f"{gpus:02}", "fifo", tables, simulated_s=600, manifest={"scenario": scenario})
    source = open_source([runs])
    assert len(source.runs) > MOST_TOGETHER
    assert [group.at for group in groups(source)] == [[i] for i in range(MOST_DRAWN)]


def test_points_that_failed_are_told(study, tmp_path):
    frame = pd.read_parquet(study / "results.parquet")
    numbers = frame.select_dtypes("float64").columns
    failed = (frame["policy"] == "sjf") & (frame["gpus"] == 2)
    frame.loc[failed, numbers] = np.nan
    frame.loc[failed, ["valid", "error"]] = [False, "no room"]
    copy = tmp_path / "study"
    copy.mkdir()
    (copy / "study.yaml").write_bytes((study / "study.yaml").read_bytes())
    frame.to_parquet(copy / "results.parquet", index=False)
    (copy / "runs").symlink_to(study / "runs")
    source = open_source([copy])
    assert "INVALID: Shortest &lt;b&gt;first&lt;/b&gt;, gpus 2, sharing mps, seed 0: no room" in page(source)
    assert [(group.at, list(group.runs)) for group in groups(source)] == [
        ([0, 0], [1]),
        ([0, 1], [1]),
        ([1, 0], [0, 1]),
        ([1, 1], [0, 1]),
    ]
    frame.drop(columns=numbers).assign(valid=False).to_parquet(copy / "results.parquet", index=False)
    assert "There is no run to draw" in page(open_source([copy]))  # none has a number


def test_runs_without_tables_are_not_drawn(study, tmp_path):
    source = open_source([study])
    for run in source.runs.values():
        assert (run.path / "invocations.parquet").exists()
    copy = tmp_path / "study"
    copy.mkdir()
    for name in ("study.yaml", "results.parquet"):
        (copy / name).write_bytes((study / name).read_bytes())
    text = page(open_source([copy]))
    assert "There is no run to draw" in text
    assert 'id="by-run"' in text


def analyze(*args):
    return CliRunner().invoke(main, ["report", *map(str, args)])


def test_a_page_is_replaced_and_nothing_else(make_run, tmp_path):
    run, file = make_run("fifo", n=50), tmp_path / "page.html"
    assert analyze(run, "-o", file).output == f"{file}\n"
    first = file.read_bytes()
    assert analyze(run, "-o", file).exit_code == 0
    assert file.read_bytes() == first
    file.write_text("mine", encoding="utf-8")
    result = analyze(run, "-o", file)
    assert result.exit_code == 2
    assert "replaces only what it wrote itself" in result.stderr
    assert file.read_text("utf-8") == "mine"


def test_runs_that_were_changed_are_refused_unless_asked_for(make_run, tmp_path):
    run, file = make_run("fifo", n=50), tmp_path / "page.html"
    manifest = json.loads((run / "manifest.json").read_text("utf-8"))
    files = sorted(path for path in run.iterdir() if path.name != "manifest.json")
    (run / "manifest.json").write_text(json.dumps(seal(manifest, files)), encoding="utf-8")
    assert analyze(run, "-o", file).exit_code == 0
    (run / "summary.json").write_text((run / "summary.json").read_text("utf-8") + " ", encoding="utf-8")
    assert "summary.json" in analyze(run, "-o", file).stderr
    assert analyze(run, "-o", file, "--no-verify").exit_code == 0


def test_mistakes_are_a_sentence(tmp_path):
    result = analyze(tmp_path / "nowhere", "-o", tmp_path / "page.html")
    assert (result.exit_code, result.stderr) == (2, f"Error: {tmp_path / 'nowhere'}: there is no such run directory\n")
    folder = tmp_path / "study"
    folder.mkdir()
    study = {"factors": {"policy": ["fifo"]}, "report": {"metrics": ["speed"]}}
    (folder / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    result = analyze(folder, "-o", tmp_path / "page.html")
    assert result.exit_code == 2
    assert "results.parquet: missing" in result.stderr
    assert not (tmp_path / "page.html").exists()
