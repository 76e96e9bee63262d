"""The ``simulate`` command."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sim import __version__
from sim.cli.load import load
from sim.errors import ScenarioError
from sim.studies.kaas.command import reproduce
from sim.terminal.console import (
    INVALID,
    SETTINGS,
    ProjectGroup,
    check_packages,
    echo,
    note,
    quiet_option,
    shows_progress,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sim.compose import Experiment
    from sim.domain import Trace
    from sim.scenario import Scenario
    from sim.workload import Workload

_STEPS = 1_000  # arrivals between two looks of the progress bar, which takes longer to draw than they to simulate,
_LOOKS = 200  # but no fewer looks than this


@click.group(cls=ProjectGroup, context_settings=SETTINGS)
@click.version_option(__version__)
def main() -> None:
    """Simulate a fleet of GPUs that serves serverless functions.

    \b
    Example:
      simulate run azure2019/ --policy affinity --policy exclusive --gpus 8 --window 08:00-09:00
      analyze plot runs/* -o figures
    """


@main.command()
@click.argument("traces", nargs=-1, metavar="TRACE...", type=click.Path(path_type=Path))
@click.option(
    "--policy",
    "policies",
    multiple=True,
    metavar="NAME[k=v,...]",
    help="Repeatable; see 'simulate policies'. FILE.py:CLASS[k=v,...] is one of yours.",
)
@click.option("--gpus", type=int, help="GPUs of the fleet.  [default: 4]")
@click.option("--calibration", metavar="NAME|FILE", help="Numbers of GPU and software.  [default: v100-kaas]")
@click.option("--functions", type=click.Choice(["catalogue", "trace"]),
              help="Map the trace's functions onto a catalogue of kernel graphs, or run them with the trace's own "
                   "durations and memory.  [default: catalogue]")  # fmt: skip
@click.option("--catalogue", metavar="NAME|FILE", help="kaas, kaas-authors, small or a file.  [default: kaas]")
@click.option("--map", metavar="FILE.csv",
              help="Which function, app or trigger runs which graph.  [default: balanced by invocations]")  # fmt: skip
@click.option("--window", metavar="HH:MM-HH:MM", help="Part of the trace, in trace time.  [default: all]")
@click.option("--limit", type=int, metavar="N", help="Only the first N arrivals.")
@click.option("--rate-scale", type=float, metavar="X", help="Factor on the rate of every function.  [default: 1]")
@click.option("--placement", type=click.Choice(["uniform", "equidistant", "poisson", "start"]),
              help="How counts a minute become instants.  [default: uniform]")  # fmt: skip
@click.option("--format", help="Format of the trace, see 'traces formats'.  [default: told from the files]")
@click.option("--frontend", type=click.Choice(["none", "kaas"]),
              help="Way to the pool: none, or the server of KaaS's benchmark, which takes one request at a time and "
                   "lets 256 in.  [default: none]")  # fmt: skip
@click.option("--seed", type=int, help="Seed of all that is drawn.  [default: 0]")
@click.option("--scenario", type=click.Path(path_type=Path), metavar="FILE.yaml",
              help="A complete description; flags override single values.")  # fmt: skip
@click.option("--out", "-o", type=click.Path(path_type=Path), metavar="DIR",
              help="Where to put a run directory for each policy.  [default: runs/<time>]")  # fmt: skip
@click.option("--force", is_flag=True, help="Replace older runs in DIR.")
@click.option("--json", "as_json", is_flag=True, help="Print the summaries as JSON.")
@quiet_option
def run(
    traces: tuple[Path, ...],
    policies: tuple[str, ...],
    scenario: Path | None,
    out: Path | None,
    force: bool,
    as_json: bool,
    gpus: int | None,
    calibration: str | None,
    **flags: Any,
) -> None:
    """Serve the invocations of TRACE (files or directories of one trace) under each policy.

    Every policy sees the same arrivals and sizes. A run is repeated by the scenario.yaml in its directory. Exits 1
    when a run is not valid.

    \b
    Example:
      simulate run azure2019/ --policy affinity --policy 'affinity[penalty=2]' --gpus 8 --limit 100000
      simulate run --scenario experiment.yaml --seed 7 --out runs/seed7
      simulate run azure2019/ --policy 'mine.py:ShortestFirst[ageing=0.1]' --limit 100000
    """
    from sim.scenario import read_scenario

    if scenario is None and not traces:
        raise ScenarioError("no trace: name files or directories, or give a --scenario that does")
    if scenario is None and not policies:
        raise ScenarioError("no policy: give --policy NAME, or a --scenario with policies")
    for name in ("catalogue", "map"):
        if flags["functions"] == "trace" and flags[name]:
            raise ScenarioError(f"--{name} {flags[name]} has no effect with --functions trace")
    flags |= {"traces": [os.path.abspath(t) for t in traces], "policies": list(policies)}
    fleet = {k: v for k, v in (("gpus", gpus), ("calibration", calibration)) if v is not None}
    given = {k: v for k, v in flags.items() if v is not None and v != []}
    resolved = read_scenario(scenario, given | ({"fleet": fleet} if fleet else {}))
    if scenario is not None:
        tell_changes(scenario)
    summaries = run_scenario(resolved, out, force=force)
    show(summaries, as_json=as_json)
    if not all(s["valid"] for s in summaries.values()):
        sys.exit(INVALID)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def policies(as_json: bool) -> None:
    """List the policies, their parameters with defaults, and where each comes from.

    \b
    Example:
      simulate policies
    """
    from sim.policies import known
    from sim.settings import parameters

    listed: list[dict[str, Any]] = [
        {
            "name": name,
            "parameters": {k: default for k, (_, default) in parameters(policy).items()},
            "workers": policy.kind.value,
            "summary": (policy.__doc__ or "").partition("\n")[0],
            "source": policy.source,
        }
        for name, policy in known().items()
    ]
    if as_json:
        click.echo(json.dumps(listed, indent=1))
        return
    for entry in listed:
        settings = ", ".join(f"{k}={v:g}" for k, v in entry["parameters"].items()) or "none"
        echo(f"{entry['name']}\n  {entry['summary']}")
        echo(f"  parameters: {settings}   workers: {entry['workers']}\n  source: {entry['source']}\n")


main.add_command(load)
main.add_command(reproduce)


def show(summaries: dict[Path, dict[str, Any]], *, as_json: bool) -> None:
    """Print what came out of runs, by directory: a table, or the summaries as JSON."""
    from analysis.compare import as_text, compare
    from analysis.labels import identity
    from sim.records.results import open_run

    runs = [open_run(path) for path in summaries]
    if as_json:
        whole = [{**identity(run), **summary} for run, summary in zip(runs, summaries.values(), strict=True)]
        click.echo(json.dumps(whole, indent=1))
        return
    echo(as_text(compare(runs)))
    echo("\n" + "\n".join(f"{path}/" for path in summaries))


def run_scenario(scenario: Scenario, directory: Path | None, *, force: bool = False) -> dict[Path, dict[str, Any]]:
    """Run every policy of a scenario into a directory of its own; all are checked before the first starts.

    directory: where those are; None for a new one of ``runs``, named by the time. Returns the summaries by run
    directory. The body of ``simulate run``, for use from Python.
    """
    from sim.compose import Experiment
    from sim.models.calibration import load_calibration
    from sim.records.caveats import caveats
    from sim.records.rundir import check_free, new_runs

    check_packages()
    calibration = load_calibration(scenario.fleet.calibration)
    workload = _open_workload(scenario)
    experiments: dict[str, Experiment] = {}
    for text in scenario.policies:
        experiment = Experiment(scenario, text, workload, calibration)
        if experiment.name in experiments:
            raise ScenarioError(f"the policy {experiment.policy.describe()} is given twice")
        if directory is not None:
            check_free(directory / experiment.name, force=force)
        experiments[experiment.name] = experiment
    if directory is None:
        directory = new_runs()
    for caveat in caveats(workload, calibration):
        note(f"Note: {caveat}")
    _tell_offered(experiments.values())
    summaries = {}
    for name, experiment in experiments.items():
        path = directory / name
        with progress(experiment.policy.describe(), workload) as tell:
            summaries[path] = experiment.run(path, force=force, progress=tell)
        if any("interrupted" in reason for reason in summaries[path]["reasons"]):
            break
    return summaries


def _tell_offered(experiments: Iterable[Experiment]) -> None:
    """Print on stderr what is asked of the fleet, once where policies have the same kind of worker."""
    by_kind = {experiment.policy.kind.value: experiment.offered() for experiment in experiments}
    for kind, offered in by_kind.items():
        if offered is not None:
            note(f"{kind} workers: {offered.text()}" if len(by_kind) > 1 else offered.text())


def open_trace_of(scenario: Scenario) -> Trace:
    """The trace that a scenario names, or that of its clients."""
    if (load := scenario.load) is not None:
        from sim.loads import Clients, make_load

        return make_load(load.name).trace(Clients(load.clients, load.graph, scenario.seed))
    from traces.open import open_trace

    return open_trace(
        [Path(t) for t in scenario.traces],
        format=scenario.format,
        placement=scenario.placement,
        window=scenario.window,
        rate_scale=scenario.rate_scale,
        seed=scenario.seed,
    )


def _open_workload(scenario: Scenario) -> Workload:
    from sim.binding import read_map
    from sim.models.workloads.catalogue import load_catalogue
    from sim.settings import unknown
    from sim.workload import bind

    catalogue = load_catalogue(scenario.catalogue) if scenario.functions == "catalogue" else None
    chosen = read_map(Path(scenario.map), catalogue) if scenario.map is not None and catalogue is not None else None
    if (load := scenario.load) is not None and catalogue is not None:
        if load.graph not in catalogue:
            raise ScenarioError(unknown("graph", load.graph, catalogue))
        catalogue = {load.graph: catalogue[load.graph]}
    trace = open_trace_of(scenario)
    if chosen is not None and (unused := chosen.unused(trace.functions)):
        n_rows = f"{len(unused):,} of {len(chosen.graph_of):,} rows"
        note(f"{chosen.file}: {n_rows} name no {chosen.by} that is invoked, such as {unused[0]!r}")
    workload = bind(trace, catalogue=catalogue, chosen=chosen, limit=scenario.limit)
    workload.require_arrivals()
    return workload


def tell_changes(scenario: Path) -> None:
    """Say what is not as it was in the run that a scenario file lies beside, if it does."""
    from sim.records.provenance import changes

    file = scenario.parent / "manifest.json"
    try:
        manifest = json.loads(file.read_text("utf-8"))
        found = changes(manifest)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return  # it lies beside none
    if found:
        note(f"Note: not all is as it was in {file.parent}: {'; '.join(found)}")


@contextmanager
def progress(label: str, workload: Workload) -> Iterator[Callable[[int], None] | None]:
    """A progress bar over arrivals on stderr, when that is a terminal."""
    if not shows_progress():
        yield None
        return
    n = min(workload.trace.n_arrivals, workload.limit or sys.maxsize)
    steps = max(1, min(_STEPS, n // _LOOKS))
    with click.progressbar(length=n, label=label, file=sys.stderr, update_min_steps=steps) as bar:
        yield bar.update
