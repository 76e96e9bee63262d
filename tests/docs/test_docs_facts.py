"""What the pages say of names and numbers is what the code says."""

import dataclasses
import json
import re
from functools import reduce
from importlib import resources
from typing import get_type_hints

import pytest
from click.testing import CliRunner

from analysis.compare import COLUMNS
from analysis.figures.runs import FIGURES
from analysis.labels import SETTINGS
from sim.domain import Role, WorkerKind
from sim.models.calibration import Calibration, GraphCosts
from sim.models.tiers import Rung
from sim.policies import known
from sim.protocol import Need
from sim.records.results import open_run
from sim.records.tables import GPU_PARTS, OPTIONAL, STAGES, STATUSES, TABLES
from sim.settings import parameters
from tests.docs.commands import MAIN, options
from tests.docs.pages import PAGES, README, ROOT, blocks, name, prose
from tests.support import own, poisson, simulate
from traces.options import PLACEMENTS

GLOSSARY, CALIBRATION, RUNS, TRACE, POLICY, METRICS = (
    ROOT / "docs" / file
    for file in (
        "glossary.md",
        "calibration.md",
        "run-directory.md",
        "howto/your-own-trace.md",
        "policies.md",
        "metrics.md",
    )
)


def code(page):
    """What stands in `code type` in the prose of a page."""
    return " ".join(re.findall(r"`([^`\n]+)`", prose(page)))


def code_words(page):
    """The identifiers in it."""
    return set(re.findall(r"[A-Za-z_]\w*", code(page)))


@pytest.fixture(scope="module")
def vocabulary():
    """All words of the sources, and of the blocks that readers copy."""
    files = [
        f for top in ("sim", "traces", "analysis", "replay", "benchmarks", "tests") for f in (ROOT / top).rglob("*.*")
    ]
    texts = [f.read_text("utf-8") for f in files if f.suffix in (".py", ".json", ".cu", ".h")]
    texts += [block.text for page in PAGES for block in blocks(page)]
    texts += [name for table in TABLES for name in table.names]
    texts += [file.stem for file in (ROOT / "tests").rglob("*.py")]
    return set(re.findall(r"[A-Za-z_]\w*", " ".join(texts)))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_names_with_an_underscore_are_names_of_the_code(page, vocabulary):
    named = {word for word in code_words(page) if "_" in word.strip("_")}
    assert named <= vocabulary, sorted(named - vocabulary)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_options_exist(page):
    named = set(re.findall(r"(?<!\S)--[a-z][a-z-]*", code(page)))
    allowed = {*options(), "--largest", "--help", "--version"}
    assert named <= allowed, sorted(named - allowed)


def test_output_has_one_spelling():
    assert "--out" in options()
    assert not {"--output", "--output-dir", "--outdir"} & {*options()}


def test_the_glossary_has_every_value_of_the_code():
    words = code_words(GLOSSARY)
    for values in (STATUSES, STAGES, PLACEMENTS, [r.value for r in Role]):
        assert set(values) <= words, sorted(set(values) - words)
    assert {k.value for k in WorkerKind} <= set(re.findall(r"\w+", prose(GLOSSARY).lower()))


def test_pages_list_all_policies_and_placements():
    assert set(known()) <= set(re.findall(r"^\| `([\w-]+)`", prose(POLICY), re.MULTILINE))
    assert set(PLACEMENTS) <= set(re.findall(r"^\| `(\w+)`", prose(TRACE), re.MULTILINE))


def test_the_table_of_policies_says_their_parameters_and_needs():
    table = prose(POLICY).partition("## Queueing")[0]
    for policy_name, policy in known().items():
        row = next(line for line in table.splitlines() if line.startswith(f"| `{policy_name}` |"))
        _, _, named, *_, needs, _ = (cell.strip() for cell in row.split("|"))
        assert re.findall(r"`(\w+)`", named) == [*parameters(policy)], policy_name
        assert needs == ", ".join(need.value for need in Need if need in policy.needs), policy_name


def keys(cls, path=""):
    """Keys of all numbers and truth values of a calibration, graphs aside."""
    hints = get_type_hints(cls)
    for f in dataclasses.fields(cls):
        if dataclasses.is_dataclass(hints[f.name]):
            yield from keys(hints[f.name], f"{path}{f.name}.")
        elif hints[f.name] in (int, float, bool) and f.name != "schema_version":
            yield path + f.name


def rows(page):
    """First cell in code type -> the other cells, of all tables of a page."""
    lines = re.findall(r"^\| `([^`]+)` \| (.*) \|$", prose(page), re.MULTILINE)
    return {first: [cell.strip() for cell in rest.split("|")] for first, rest in lines}


def test_every_number_of_the_calibration_is_explained():
    file = json.loads(resources.files("sim.models").joinpath("calibrations/v100-kaas.json").read_text("utf-8"))
    told = rows(CALIBRATION)
    for key in keys(Calibration):
        entry = reduce(lambda node, name: node.get(name, {}), key.split("."), file)
        assert told[key][-1] == (json.dumps(entry["value"]) if entry else "not given"), key
    for field in dataclasses.fields(GraphCosts):
        assert f"graphs.GRAPH.KIND.{field.name}" in told
    for field in dataclasses.fields(Rung):
        assert f"tiers.TIER.{field.name}" in told


def test_every_column_is_explained_in_its_words():
    sections = re.split(r"^## ", prose(RUNS), flags=re.MULTILINE)
    for table in (*TABLES, *OPTIONAL):
        section = next(s for s in sections if s.startswith(f"{table.name}.parquet"))
        told = re.findall(r"^\| `(\w+)` \| \w+ \| (\w*) *\| (.*) \|$", section, re.MULTILINE)
        assert told == [(c.name, c.unit, c.meaning) for c in table.columns]


def test_every_key_of_the_summary_is_explained(tmp_path):
    run = simulate(own(poisson(10, 1.0, "constant", seed=0)), known()["balance"](), tmp_path)
    assert run.summary.keys() <= code_words(RUNS)
    nested = {key for value in run.summary.values() if isinstance(value, dict) for key in value}
    nested -= run.summary["gpu_hours_of"].keys()  # names of GPUs
    assert run.summary.keys() | nested <= code_words(METRICS)


def test_every_number_of_tables_and_figures_has_its_formula():
    assert {key for column in COLUMNS for key in column.keys} <= code_words(METRICS)
    assert {*SETTINGS, *FIGURES, *GPU_PARTS, *GPU_PARTS.values()} <= code_words(METRICS)


def test_the_numbers_under_the_figure_are_those_of_the_demo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make = (ROOT / "Makefile").read_text("utf-8").replace("\\\n", " ").replace("$(DEMO)", "demo")
    for command in ("traces", "simulate"):
        (words,) = re.findall(rf"^\t\$\(BIN\)/{command} (.*demo/.*)$", make, re.MULTILINE)
        result = CliRunner().invoke(MAIN[command], words.split())
        assert result.exit_code == 0, result.output
    policies = ("exclusive", "affinity", "keepalive")
    exclusive, affinity, keepalive = (open_run(tmp_path / "demo/runs" / p).summary for p in policies)
    told = " ".join(prose(README).split())
    assert f"{100 * exclusive['cold_starts'] / exclusive['completed']:.0f} % of the invocations wait" in told
    assert f"in kernels for {100 * affinity['gpu_busy_frac']:.0f} % of the time" in told
    assert f"carry it, {100 * keepalive['cold_starts'] / keepalive['completed']:.0f} % of it cold" in told
    assert 9 < keepalive["latency_s"]["p50"] / affinity["latency_s"]["p50"] < 11, "a tenth of the p50"


def test_figures_are_small_and_the_readme_short():
    assert all(figure.stat().st_size < 100_000 for figure in (ROOT / "docs/figures").iterdir())
    assert len(README.read_text("utf-8").splitlines()) < 120
