"""``simulate load``: clients instead of a trace."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sim.cli.options import fleet_option, sharing_option, spread_option
from sim.cli.show import show
from sim.terminal.console import INVALID, ProjectCommand, echo, note, quiet_option
from sim.terminal.progress import progress

if TYPE_CHECKING:
    from sim.loads import MLPerf, Verdict
    from sim.records.results import Run


@click.command(cls=ProjectCommand)
@click.argument("load", metavar="LOAD[k=v,...]")
@click.option("--graph", required=True, metavar="NAME", help="The kernel graph of the catalogue that all clients run.")
@click.option("--catalogue", metavar="NAME|FILE", help="kaas, kaas-authors, small, cublas or a file.  [default: kaas]")
@click.option("--clients", type=int, metavar="N", help="Each has a private copy of the graph.  [default: 1]")
@click.option("--policy", "policies", multiple=True, required=True, metavar="NAME[k=v,...]",
              help="Repeatable; see 'simulate policies'. FILE.py:CLASS[k=v,...] is one of yours.")  # fmt: skip
@click.option("--gpus", type=int, help="GPUs of the fleet.  [default: 4]")
@click.option("--calibration", metavar="NAME|FILE", help="Numbers of GPU and software.  [default: v100-kaas]")
@sharing_option
@fleet_option
@click.option("--frontend", type=click.Choice(["none", "kaas"]),
              help="Way to the pool: none, or the server of KaaS's benchmark.  [default: none]")  # fmt: skip
@spread_option
@click.option("--seed", type=int, help="Seed of all that is drawn.  [default: 0]")
@click.option("--out", "-o", type=click.Path(path_type=Path), metavar="DIR",
              help="Where to put a run directory for each policy.  [default: runs/<time>]")  # fmt: skip
@click.option("--force", is_flag=True, help="Replace older runs in DIR.")
@click.option("--json", "as_json", is_flag=True, help="Print the summaries as JSON.")
@quiet_option
def load(
    load: str,
    graph: str,
    clients: int | None,
    policies: tuple[str, ...],
    gpus: int | None,
    calibration: str | None,
    sharing: str | None,
    fleet_file: Path | None,
    out: Path | None,
    force: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Serve clients that make LOAD, under each policy. Client i is function i.

    \b
    LOAD is one of
      closed         each client keeps some requests outstanding
      nshot          each client sends some requests, one after another
      poisson, zipf  requests at a rate, from equal or unequal clients
      single-stream, multi-stream, server, offline
                     the scenarios of MLPerf, with their verdict
    Their parameters are in docs/howto/load-generators.md. Exits 1 when a run or a verdict is not valid.

    \b
    Example:
      simulate load 'closed[outstanding=8,duration=60]' --graph resnet50 --clients 8 --policy affinity
      simulate load 'server[rate=40,bound=0.1]' --graph resnet50 --policy affinity --policy balance --gpus 1
    """
    from sim.experiment import run_scenario
    from sim.loads import MLPerf, make_load
    from sim.records.results import open_run
    from sim.scenario import read_fleet, read_scenario

    maker = make_load(load)
    clients_of = {"name": load, "graph": graph, "clients": clients}
    fleet = read_fleet(fleet_file) if fleet_file is not None else {}
    fleet |= _given({"gpus": gpus, "calibration": calibration, "sharing": sharing})
    given = {"policies": list(policies), "load": _given(clients_of), "fleet": fleet}
    scenario = read_scenario(None, given | _given(flags))
    summaries = run_scenario(scenario, out, force=force, note=note, bar=progress)
    results = {path: judge(maker, graph, open_run(path)) for path in summaries} if isinstance(maker, MLPerf) else {}
    for path, result in results.items():
        summaries[path]["mlperf"] = {**asdict(result), "valid": result.valid}
    show(summaries, as_json=as_json)
    if results and not as_json:
        echo("\n" + "\n".join(f"{path}: {result}" for path, result in results.items()))
    if not all(s["valid"] and s.get("mlperf", s)["valid"] for s in summaries.values()):
        sys.exit(INVALID)


def judge(load: MLPerf, graph: str, run: Run) -> Verdict:
    """What a run of an MLPerf load has shown. A run that is not valid itself shows nothing."""
    rows = run.table("invocations", ["function", "status", "arrival_at_s", "completed_at_s"])
    replied_at_s = rows.completed_at_s.where(rows.status == "completed", float("inf"))
    result = load.result(graph, rows.function.to_numpy(), rows.arrival_at_s.to_numpy(), replied_at_s.to_numpy())
    return replace(result, reasons=(*run.summary["reasons"], *result.reasons))


def _given(flags: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in flags.items() if value is not None}
