"""``simulate run``: a trace under policies."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from sim.cli.options import fleet_option, jobs_option, sharing_option, spread_option
from sim.cli.show import show
from sim.errors import ScenarioError
from sim.terminal.console import INVALID, ProjectCommand, note, quiet_option
from sim.terminal.progress import progress


@click.command(cls=ProjectCommand)
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
@sharing_option
@fleet_option
@click.option("--functions", type=click.Choice(["catalogue", "trace"]),
              help="Map the trace's functions onto a catalogue of kernel graphs, or run them with the trace's own "
                   "durations and memory.  [default: catalogue]")  # fmt: skip
@click.option("--catalogue", metavar="NAME|FILE", help="kaas, kaas-authors, small, cublas or a file.  [default: kaas]")
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
@click.option(
    "--residency",
    metavar="NAME",
    help="Who loses constants when an executor needs room, such as lru or gdsf.  [default: that of the calibration]",
)
@spread_option
@click.option("--cells", type=int, metavar="N",
              help="Split fleet and tenants into N independent parts, run at once.  [default: 1]")  # fmt: skip
@jobs_option
@click.option("--seed", type=int, help="Seed of all that is drawn.  [default: 0]")
@click.option("--warmup-s", type=float, metavar="S",
              help="Leave what arrives in the first S seconds out of latencies and shares.  [default: 0]")  # fmt: skip
@click.option("--cooldown-s", type=float, metavar="S",
              help="The same at the end of the trace.  [default: 0]")  # fmt: skip
@click.option("--scenario", type=click.Path(path_type=Path), metavar="FILE.yaml",
              help="A complete description; flags override single values.")  # fmt: skip
@click.option("--out", "-o", type=click.Path(path_type=Path), metavar="DIR",
              help="Where to put a run directory for each policy.  [default: runs/<time>]")  # fmt: skip
@click.option("--force", is_flag=True, help="Replace older runs in DIR.")
@click.option("--decisions", is_flag=True, help="Write decisions.jsonl too: all that policies were told and answered.")
@click.option("--stays", is_flag=True, help="Write residency.parquet too: what was in device memory when.")
@click.option("--json", "as_json", is_flag=True, help="Print the summaries as JSON.")
@quiet_option
def run(
    traces: tuple[Path, ...],
    policies: tuple[str, ...],
    scenario: Path | None,
    out: Path | None,
    force: bool,
    decisions: bool,
    stays: bool,
    as_json: bool,
    gpus: int | None,
    calibration: str | None,
    sharing: str | None,
    fleet_file: Path | None,
    jobs: Any,
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
    from sim.experiment import run_scenario
    from sim.scenario import read_fleet, read_scenario

    if scenario is None and not traces:
        raise ScenarioError("no trace: name files or directories, or give a --scenario that does")
    if scenario is None and not policies:
        raise ScenarioError("no policy: give --policy NAME, or a --scenario with policies")
    for name in ("catalogue", "map"):
        if flags["functions"] == "trace" and flags[name]:
            raise ScenarioError(f"--{name} {flags[name]} has no effect with --functions trace")
    flags |= {"traces": [os.path.abspath(t) for t in traces], "policies": list(policies)}
    fleet = read_fleet(fleet_file) if fleet_file is not None else {}
    given_of_fleet = {"gpus": gpus, "calibration": calibration, "sharing": sharing}
    fleet |= {key: value for key, value in given_of_fleet.items() if value is not None}
    given = {k: v for k, v in flags.items() if v is not None and v != []}
    resolved = read_scenario(scenario, given | ({"fleet": fleet} if fleet else {}))
    if scenario is not None:
        tell_changes(scenario)
    kept = {"decisions": decisions, "stays": stays}
    summaries = run_scenario(resolved, out, force=force, **kept, jobs=jobs, note=note, bar=progress)
    show(summaries, as_json=as_json)
    if not all(s["valid"] for s in summaries.values()):
        sys.exit(INVALID)


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
