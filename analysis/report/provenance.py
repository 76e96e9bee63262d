"""Where the numbers of a page come from, and how to make them again."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.compare import digits
from analysis.report import html
from analysis.report.source import Source
from analysis.runs import lookup, number
from sim.files.inputs import read_text
from sim.records.results import Run
from sim.text import counted

MOST_SCENARIOS = 16  # that a page has in it


def provenance(source: Source) -> str:
    """Versions, commit, calibrations, files with their hashes, seeds, machines."""
    runs = list(source.runs.values())
    rows = [
        ("Read from", [str(path) for path in source.paths]),
        ("Made in", _each(runs, _world)),
        ("Project", _each(runs, _project)),
        ("Packages", _each(runs, lambda run: _words(told(run, "versions")))),
        ("Calibration", _each(runs, _calibration)),
        ("Files read", _inputs(runs)),
        ("Seeds", [_ranges(sorted({row["seed"] for row in source.rows}))]),
        ("Machine", _each(runs, lambda run: _words(told(run, "machine")))),
        ("Started", _span(run.manifest.get("started") for run in runs)),
        ("Took", [_took(runs)] if runs else []),
        ("Percentiles", _each(runs, _quantiles)),
    ]
    return html.section("provenance", "Provenance", html.pairs(rows))


def reproduce(source: Source) -> str:
    """Commands and files that make the runs again, and this page."""
    commits = {told(run, "project").get("commit") for run in source.runs.values()} - {None}
    checkout = f"git checkout {next(iter(commits))}\n" if len(commits) == 1 else ""
    parts = [html.paragraph("Results are the same, byte for byte, with the same version, files and seeds.", "soft")]
    if source.study is not None:
        page = "analyze report study -o report.html"
        parts.append(html.code(f"{checkout}simulate sweep study.yaml -o study\n{page}"))
        parts.append(html.details("study.yaml", html.code(source.study)))
        return html.section("reproduce", "Reproduce", *parts)
    simulated = {name: run for name, run in source.runs.items() if run.manifest.get("world") != "replay"}
    files = {name: run.path / "scenario.yaml" for name, run in simulated.items()}
    shown = {name: file for name, file in files.items() if file.is_file()}
    shown = dict(list(shown.items())[:MOST_SCENARIOS])
    commands = [
        f"simulate run --scenario {shlex.quote(str(file))} -o {shlex.quote(str(Path('again', name).parent))}"
        for name, file in shown.items()
    ]
    parts.append(html.code("\n".join([*checkout.splitlines(), *commands, "analyze report again -o report.html"])))
    if len(simulated) < len(source.runs):
        parts.append(html.paragraph("Replays are measurements: to measure again gives other numbers.", "soft"))
    if len(shown) < len(files):
        parts.append(
            html.paragraph(f"These are the first {len(shown)} of {counted(len(files), 'simulation')}.", "soft")
        )
    parts += [html.details(f"scenario.yaml of {name}", html.code(read_text(file))) for name, file in shown.items()]
    return html.section("reproduce", "Reproduce", *parts)


def told(run: Run, *keys: str) -> Mapping[str, Any]:
    """An object of the manifest; empty where there is none, as in runs of old."""
    value: Any = run.manifest
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _each(runs: Sequence[Run], tell: Callable[[Run], str]) -> list[str]:
    """What the runs say, each only once; and how many say so, where not all do."""
    said = Counter(filter(None, map(tell, runs)))
    return [text if n == len(runs) else f"{text} ({counted(n, 'run')})" for text, n in said.items()]


def _world(run: Run) -> str:
    if run.manifest.get("world") != "replay":
        return "a simulation"
    return f"a replay on {told(run, 'replay', 'device').get('name', 'an unknown device')}"


def _project(run: Run) -> str:
    project = told(run, "project")
    dirty = ", with files that differ from it" if project.get("dirty") else ""
    return f"gpu-faas {project.get('version')}, commit {project.get('commit') or 'unknown'}{dirty}" if project else ""


def _calibration(run: Run) -> str:
    calibration = told(run, "calibration")
    return f"{calibration.get('name')}, SHA-256 {calibration.get('sha256')}" if calibration else ""


def _inputs(runs: Sequence[Run]) -> list[str]:
    """Every file that a run read, each only once."""
    read = [entry for run in runs for entry in run.manifest.get("inputs") or [] if isinstance(entry, Mapping)]
    said = ("{role} {path}, {size_bytes} bytes, SHA-256 {sha256}".format_map(defaultdict(str, entry)) for entry in read)
    return list(dict.fromkeys(said))


def _quantiles(run: Run) -> str:
    known = run.summary.get("quantiles") or {"from": "values", "error_frac": 0.0}  # as before there were two ways
    file = run.path / "summary.json"
    error_frac = number(file, known, "error_frac")
    within = f", within {100 * error_frac:.1g} %" if error_frac else ""
    return f"from {lookup(file, known, 'from')}{within}"


def _words(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in facts.items())


def _span(instants: Iterable[str | None]) -> list[str]:
    known = sorted(map(str, filter(None, instants)))
    return [known[0] if known[0] == known[-1] else f"{known[0]} to {known[-1]}"] if known else []


def _took(runs: Sequence[Run]) -> str:
    wall_s = sum(number(run.path / "summary.json", run.summary, "wall_s") or 0.0 for run in runs)
    return f"{digits(wall_s)} s of wall time in {counted(len(runs), 'run')}"


def _ranges(seeds: Sequence[int]) -> str:
    """``0-9, 12``."""
    found: list[list[int]] = []
    for seed in seeds:
        if found and seed == found[-1][1] + 1:
            found[-1][1] = seed
        else:
            found.append([seed, seed])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in found)
