"""``simulate reproduce kaas``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sim.errors import ScenarioError
from sim.files.output import as_json as json_text
from sim.files.output import has_keys, new_directory, write_text
from sim.terminal.console import ProjectCommand, echo, quiet_option, shows_progress

if TYPE_CHECKING:
    from sim.studies.kaas.experiments import Point, Setup
    from sim.studies.kaas.run import PointResult

Tables = dict[str, list[dict[str, Any]]]
_MANIFEST = "manifest.json"


@click.command(cls=ProjectCommand)
@click.option("--setup", type=click.Choice(["arxiv", "dissertation"]), default="arxiv", show_default=True,
              help="Generation of the experiments: that of arXiv 2212.08146, or the one before it.")  # fmt: skip
@click.option("--figure", type=click.Choice(["throughput", "latency", "micro", "ablation", "all"]), default="all",
              show_default=True, help="What to repeat; all is without ablation.")  # fmt: skip
@click.option("--points", "files", multiple=True, type=click.Path(path_type=Path), metavar="FILE.csv",
              help="Repeatable. Points, with measurements to compare.  [default: those of the paper]")  # fmt: skip
@click.option("--out", "-o", type=click.Path(path_type=Path), metavar="DIR",
              help="Where to write tables, figures and a manifest; older ones are replaced.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of all that is drawn.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Processes.  [default: one a CPU]")
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON: the rows of the points, or of micro or ablation alone."
)
@quiet_option
def kaas(
    setup: str, figure: str, files: tuple[Path, ...], out: Path | None, seed: int, jobs: int | None, as_json: bool
) -> None:
    """The figures of Kernel-as-a-Service (arXiv 2212.08146) on 4 simulated V100s.

    FILE.csv has columns workload, mode and clients, and throughput_qps, p50_s or p90_s where measured, and
    offered_per_s where latencies aren't of 70 % of the peak; others are kept. The rows come back with what was
    simulated, and how far off it is. `ablation` shows what each mechanism does, by leaving it out.
    docs/kaas-study.md discusses the results.

    \b
    Example:
      simulate reproduce kaas --points measured.csv --figure throughput --out kaas
      simulate reproduce kaas --figure ablation
    """
    from sim.studies.kaas.experiments import SETUPS

    if setup != "arxiv" and figure in ("micro", "ablation"):
        raise ScenarioError(f"--figure {figure} is of the arxiv setup only, not of {setup}")
    if files and figure in ("micro", "ablation"):
        raise ScenarioError(f"--points has no effect with --figure {figure}")
    with nullcontext() if out is None else new_directory(out, _older) as place:
        tables, results = _simulate(setup, figure, files, seed, jobs or os.cpu_count() or 1)
        if place is not None:
            _write(place, tables, results, figure, _facts(setup, figure, files, seed))
    if as_json:
        click.echo(json.dumps(tables.get("points") or next(iter(tables.values())), indent=1))
    else:
        _tell(tables, SETUPS[setup])
        if out is not None:
            echo(f"\n{out}/")


def _simulate(
    setup: str, figure: str, files: Sequence[Path], seed: int, jobs: int
) -> tuple[Tables, Mapping[Point, PointResult]]:
    """What a figure shows, by name, and the results of its points."""
    tables: Tables = {}
    results: Mapping[Point, PointResult] = {}
    if figure == "ablation":
        from sim.studies.kaas.ablation import ablate

        tables["ablation"] = ablate(seed, jobs=jobs, bar=_bar)
    if figure in ("throughput", "latency", "all"):
        tables["points"], results = _points(setup, figure, files, seed, jobs)
    if setup == "arxiv" and figure in ("micro", "all"):
        from sim.studies.kaas.micro import micro

        tables["micro"] = micro(seed)
    return tables, results


def _points(
    setup: str, figure: str, files: Sequence[Path], seed: int, jobs: int
) -> tuple[list[dict[str, Any]], Mapping[Point, PointResult]]:
    """Simulate the rows of files, or the built-in ones."""
    from sim.studies.kaas.experiments import SETUPS, WORKLOADS
    from sim.studies.kaas.points import P50, P90, built_in, complete, read_points
    from sim.studies.kaas.run import simulate_points

    its = SETUPS[setup]
    rows = [row for file in files for row in read_points(file, its, WORKLOADS)] or built_in(its)
    wanted: dict[Point, bool] = {}
    for row in rows:
        if not row.duplicate:
            wants_latency = figure == "latency" or (figure == "all" and not row.wants.isdisjoint((P50, P90)))
            wanted[row.point] = wanted.get(row.point, False) or wants_latency
    results = simulate_points(setup, wanted, seed, jobs=jobs, bar=_bar)
    return [complete(row, None if row.duplicate else results[row.point]) for row in rows], results


def _tell(tables: Tables, setup: Setup) -> None:
    """Print tables, and what they come to."""
    from sim.studies.kaas.report import errors, gains
    from sim.studies.tables import as_text

    of, over = list(setup.modes)[:2]
    parts = [as_text(rows) for rows in tables.values()]
    if rows := tables.get("points"):
        parts += [as_text(errors(rows)), as_text(gains(rows, of=of, over=over))]
    echo("\n\n".join(filter(None, parts)))


def _older(out: Path) -> list[str]:
    """The files of an earlier study in a directory, as its manifest lists them."""
    manifest = out / _MANIFEST
    if not has_keys(manifest, "study", "files"):
        return []
    listed = json.loads(manifest.read_text("utf-8"))["files"]
    files = [name for name in listed if name in os.listdir(out)] if isinstance(listed, list) else []
    return [_MANIFEST, *files]


def _write(
    place: Path, tables: Tables, results: Mapping[Point, PointResult], figure: str, facts: Mapping[str, Any]
) -> None:
    """Tables and figures, and the manifest that lists them."""
    from analysis.figures import kaas as kaas_figures
    from analysis.figures.style import put
    from sim.studies.kaas.points import write_rows
    from sim.studies.kaas.report import errors

    rows = tables.get("points", [])
    if compared := errors(rows):
        tables = tables | {"errors": compared}
    figures: dict[str, Callable[[], Any]] = {}
    if figure in ("throughput", "all") and any(row["simulated_throughput_qps"] for row in rows):
        figures["throughput"] = partial(kaas_figures.throughput, rows)
    usual = {point[:3]: result.latency_s for point, result in results.items() if point.offered_per_s is None}
    if quantiles := {key: latency_s for key, latency_s in usual.items() if latency_s}:
        figures["latency"] = partial(kaas_figures.latency, rows)
        figures["latency_cdf"] = partial(kaas_figures.latency_cdf, quantiles)
    if "micro" in tables:
        figures["micro"] = partial(kaas_figures.micro, tables["micro"])
    files = [file for name, table in tables.items() for file in write_rows(table, place / name)]
    for name, make in figures.items():
        drawn = [place / f"{name}.pdf", place / f"{name}.png"]
        put(make, *drawn)
        files += drawn
    write_text(place / _MANIFEST, json_text({**facts, "files": [file.name for file in files]}))


def _facts(setup: str, figure: str, files: Sequence[Path], seed: int) -> dict[str, Any]:
    """What the results depend on."""
    import platform
    from importlib.metadata import version

    from sim import __version__
    from sim.studies.kaas.experiments import SETUPS

    calibration = SETUPS[setup].calibration()
    return {
        "study": "kaas",
        "setup": setup,
        "figure": figure,
        "points": [str(file) for file in files],
        "seed": seed,
        "calibration": {"name": calibration.name, "sha256": calibration.sha256},
        "versions": {
            "gpu-faas": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "simpy")},
        },
    }


@contextmanager
def _bar(n_tasks: int) -> Iterator[Callable[[int], None]]:
    """A progress bar over simulations on stderr, when that is a terminal."""
    if not shows_progress():
        yield lambda n_done: None
        return
    with click.progressbar(length=n_tasks, label="Simulations", file=sys.stderr) as bar:
        yield bar.update
