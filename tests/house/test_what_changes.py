"""The page of what changes holds: what it lists is enough to add something, and nothing else lists all of a kind."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure

import analysis.figures.runs
import sim.models.eviction
import sim.policies
import traces.open
from sim.models.eviction.lists import Lru
from sim.policies.balance import Balance
from sim.records.results import open_run
from tests.docs.commands import MAIN
from tests.docs.pages import ROOT, prose
from tests.support import ListTrace, ideal, own, poisson, simulate
from traces.formats import Format, has_columns
from traces.open import open_trace

PAGE = ROOT / "docs" / "design" / "what-changes.md"
KINDS = {
    "A policy": (sim.policies, "_POLICIES"),
    "A mechanism": (sim.models.eviction, "_STRATEGIES"),
    "A trace format": (traces.open, "FORMATS"),
    "A figure": (analysis.figures.runs, "FIGURES"),
}
SITE = ROOT / "docs" / "_build"
HISTORY = {ROOT / "CHANGELOG.md"}


def changed():
    """The files that change, by heading of the page."""
    sections = re.split(r"^## ", prose(PAGE), flags=re.MULTILINE)[1:]
    return {
        section.partition("\n")[0]: [
            (PAGE.parent / path).resolve() for path in re.findall(r"^- \[.*?\]\((.*?)\)", section, re.MULTILINE)
        ]
        for section in sections
    }


@pytest.fixture
def add(monkeypatch):
    """Adds something of a kind to the list that the page names."""

    def put(kind, name, thing):
        module, attribute = KINDS[kind]
        assert Path(module.__file__) in changed()[kind]
        monkeypatch.setitem(getattr(module, attribute), name, thing)

    return put


def test_at_most_three_files_change():
    assert {*changed()} == {*KINDS, "An engine"}
    for files in changed().values():
        assert 1 <= len(set(files)) == len(files) <= 3
        assert all(file.is_file() for file in files)


def listing(names):
    """The files of the repository with a paragraph that has all the names."""
    files = [*ROOT.glob("*.md"), *ROOT.glob("setup.cfg")]
    for folder in ("sim", "replay", "traces", "analysis", "docs", "tests", "benchmarks"):
        files += [
            f for f in (ROOT / folder).rglob("*") if f.suffix in (".py", ".md", ".json") and SITE not in f.parents
        ]
    patterns = [re.compile(rf"(?<![\w.-]){re.escape(name)}(?![\w-])") for name in names]
    for file in files:
        paragraphs = re.split(r"\n\s*\n", file.read_text("utf-8"))
        if any(all(pattern.search(paragraph) for pattern in patterns) for paragraph in paragraphs):
            yield file


@pytest.mark.parametrize("kind", ["A policy", "A trace format", "A figure"])
def test_no_other_file_lists_all_of_a_kind(kind):
    """Strategies of eviction are too few: the names of both stand together in many a sentence."""
    module, attribute = KINDS[kind]
    found = {*listing(getattr(module, attribute))}
    assert found, "there is a list of them in a page, at least"
    assert found - HISTORY <= {*changed()[kind]}


@dataclass
class Toy(Balance):
    """Another policy."""

    name: ClassVar[str] = "toy"


@pytest.fixture
def simulated(add, tmp_path):
    """A run under the new policy."""
    add("A policy", "toy", Toy)
    words = ["load", "closed[outstanding=1,duration=5]", "--graph", "cGEMM", "--policy", "toy", "-o", str(tmp_path)]
    done = CliRunner().invoke(MAIN["simulate"], words)
    assert done.exit_code == 0, done.output
    return tmp_path / "toy"


def test_a_policy_needs_its_place_in_the_list_alone(simulated):
    assert open_run(simulated).summary["completed"] > 0
    assert "toy\n  Another policy." in CliRunner().invoke(MAIN["simulate"], ["policies"]).output


class FirstCome(Lru):
    """Evicts by the order of first use."""

    name: ClassVar[str] = "toy"

    def used(self, entry):
        if entry.key not in self._lru:
            super().used(entry)


def test_a_mechanism_needs_its_place_in_the_list_alone(add, tmp_path):
    """Function 0 came first and was used last, when function 2 needs its room."""
    add("A mechanism", "toy", FirstCome)
    workload = own(ListTrace(np.arange(5.0), [0, 1, 0, 2, 1], [0.5] * 5, memory_bytes=7 * 10**9))
    for eviction, n_evicted in (("toy", 1), ("lru", 2)):
        calibration = ideal(executor=replace(ideal().executor, eviction=eviction))
        run = simulate(workload, Toy(), tmp_path / eviction, calibration=calibration)
        assert run.summary["evictions"] == n_evicted


def test_a_trace_format_needs_its_place_in_the_list_alone(add, tmp_path):
    file = tmp_path / "toy.csv"
    file.write_text("another\n1\n")
    opened = []

    def read(paths, options):
        opened.extend(path.path for path in paths)
        return poisson(3, 1.0, "constant", seed=0)

    add("A trace format", "toy", Format("toy", "another", ("another",), has_columns("another"), read))
    assert open_trace(file).n_arrivals == 3
    assert opened == [file]


def test_a_figure_needs_its_place_in_the_list_alone(simulated, add, monkeypatch, tmp_path):
    add("A figure", "toy", lambda curves, width_in: Figure((width_in, 1.0)))
    monkeypatch.setitem(analysis.figures.runs.FILES, "toy", ("toy.pdf", "toy.png"))  # made from the list on import
    done = CliRunner().invoke(MAIN["analyze"], ["plot", str(simulated), "-o", str(tmp_path / "figures")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "figures" / "toy.png").stat().st_size > 0
    assert "toy.png" in done.output
