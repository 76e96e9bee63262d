"""``simulate sweep``: a study of many runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sim.cli.options import jobs_option
from sim.errors import ScenarioError
from sim.terminal.console import INVALID, ProjectCommand, echo, note, quiet_option
from sim.terminal.progress import points

if TYPE_CHECKING:
    from sim.sweeps.study import Study
    from sim.sweeps.sweep import Sweep

PAPER = "paper"  # in the folder of a sweep: what its report asks for
_STUDIES = (".yaml", ".yml")


@click.command(cls=ProjectCommand)
@click.argument("paths", nargs=-1, required=True, metavar="STUDY.yaml|TRACE...", type=click.Path(path_type=Path))
@click.option("--out", "-o", required=True, type=click.Path(path_type=Path), metavar="DIR",
              help="The folder of the sweep: a new one, or one to go on with.")  # fmt: skip
@click.option("--set", "factors", multiple=True, metavar="KEY=V1,V2,...",
              help="Repeatable: a factor and its values, in the place of that of the study.")  # fmt: skip
@click.option("--seeds", type=click.IntRange(min=1), metavar="N",
              help="Seeds 0 to N - 1.  [default: those of the study, else 0 alone]")  # fmt: skip
@click.option("--precision", metavar="METRIC=SHARE",
              help="10 to 100 seeds: more until each mean is known to this share of itself, as p99=5%.")  # fmt: skip
@jobs_option
@click.option("--ray", metavar="ADDRESS|local",
              help="Run on a Ray cluster whose nodes all see DIR; local: start one here.")  # fmt: skip
@click.option("--tables", type=click.Choice(["all", "summary"]), default="all",
              help="What run directories keep: all tables, or manifest and summary alone.  [default: all]")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print what came of it as JSON.")
@quiet_option
def sweep(
    paths: tuple[Path, ...],
    out: Path,
    factors: tuple[str, ...],
    seeds: int | None,
    precision: str | None,
    jobs: Any,
    ray: str | None,
    tables: Any,
    as_json: bool,
) -> None:
    """Run every point of a study, the product of its factors and seeds, and write one table of all runs.

    What is no study, a file that ends in .yaml, is a trace. A factor is policy, a key of a scenario (dotted for one in
    it: load.clients), or gpus and other keys of the fleet. A point that is done in DIR is not run again: a sweep that
    was stopped, or killed, goes on by the same command. What the report of the study asks for, figures and a table,
    comes into DIR/paper, as of `analyze paper`. Exits 1 when a point failed or is not valid, or it was stopped.

    \b
    Example:
      simulate sweep study.yaml -o sweeps/fleet-size
      simulate sweep azure2019/ --set policy=affinity,balance --set gpus=1,2,4 --seeds 10 -o sweeps/gpus
      simulate sweep study.yaml --precision p99=5% -o sweeps/precise
    """
    from sim.sweeps.precision import parse_precision, until_precise
    from sim.sweeps.sweep import run_study

    wanted = None if precision is None else parse_precision(precision, "--precision")
    study = _study(paths, {"factors": factors_of(factors), **({"seeds": seeds} if seeds is not None else {})}, out)
    run = partial(run_study, out=out, jobs=jobs, ray=ray, tables=tables, note=note, bar=points)
    came = run(study) if wanted is None else until_precise(study, wanted, run, note)
    _tell(came, out, as_json=as_json)
    if study.report and not came.interrupted and len(came.frame) > len(came.failed):
        _make_paper(out, as_json=as_json)
    if came.failed or came.interrupted:
        sys.exit(INVALID)


def _make_paper(out: Path, *, as_json: bool) -> None:
    """Make what the report asks for, and say where it is."""
    from analysis.dataset import open_dataset
    from analysis.paper import make

    files = make(open_dataset(out), out / PAPER)
    if not as_json:
        for file in files:
            echo(file)


def _study(paths: tuple[Path, ...], overrides: dict[str, Any], out: Path) -> Study:
    """The study of a file, or of traces."""
    from sim.sweeps.study import make_study, read_study

    files = [path for path in paths if path.suffix in _STUDIES]
    if files and len(paths) > 1:
        raise ScenarioError(f"{files[0]}: is a study, which stands alone: its traces are named in it")
    if files:
        return read_study(files[0], overrides)
    data = {"name": out.resolve().name or "sweep", "scenario": {"traces": [str(path) for path in paths]}}
    return make_study(data, overrides, "--set", Path.cwd())


def factors_of(texts: tuple[str, ...]) -> dict[str, list[str | float]]:
    """Factors with their values, as they are typed: ``gpus=1,2``; a dash in a key is an underscore."""
    found: dict[str, list[str | float]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        key = name.strip().replace("-", "_")
        if not equals or not key:
            raise ScenarioError(f"--set {text!r}: must look like KEY=V1,V2,...")
        if key in found:
            raise ScenarioError(f"--set {key}: is given twice")
        found[key] = [_typed(value.strip()) for value in _split(values)]
    return found


def _split(text: str) -> Iterator[str]:
    """Parts between commas, but those in brackets."""
    depth = begin = 0
    for i, letter in enumerate(text):
        depth += (letter == "[") - (letter == "]")
        if letter == "," and depth == 0:
            yield text[begin:i]
            begin = i + 1
    yield text[begin:]


def _typed(text: str) -> str | float:
    """A whole number, a number or text."""
    for kind in (int, float):
        try:
            value: float = kind(text)
        except ValueError:
            continue
        return value
    return text


def _tell(came: Sweep, out: Path, *, as_json: bool) -> None:
    """Say what failed on stderr, and where the results are."""
    from sim.sweeps.table import RESULTS

    for name, why in came.failed.items():
        echo(f"{name}: {why}", err=True)
    n_done, n_before, n_failed = len(came.frame) - len(came.failed), came.n_before, len(came.failed)
    facts = {
        "results": str(out / RESULTS),
        "points": came.n_points,
        "done_before": n_before,
        "done": n_done,
        "failed": dict(came.failed),
        "interrupted": came.interrupted,
    }
    if as_json:
        click.echo(json.dumps(facts, indent=1))
        return
    echo(f"{n_done:,} of {came.n_points:,} points done, {n_before:,} of them before; {n_failed:,} failed")
    if came.interrupted:
        echo("Stopped: the same command goes on from here.", err=True)
    echo(out / RESULTS)
