"""Simulations from Python: a trace, policies and options in, runs with their tables as data frames out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sim.experiment import run_scenario
from sim.files.output import scratch
from sim.records.results import Run, hold, open_run
from sim.scenario import Scenario, read_scenario

_OF_FLEET = ("gpus", "gpus_per_node", "gpus_per_link", "memory_gib", "calibration")


def simulate(
    trace: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    policies: str | Sequence[str],
    *,
    out: str | os.PathLike[str] | None = None,
    force: bool = False,
    decisions: bool = False,
    note: Callable[[str], None] = lambda _: None,
    **options: Any,
) -> dict[str, Run]:
    """Serve the invocations of a trace under each policy, as ``simulate run`` does; returns the runs by policy.

    trace: a file, a directory, or several of one trace. policies: as of ``--policy``, such as "affinity[penalty=2]".
    out: a directory, in which each policy gets a run directory; force: replace older runs there. Without ``out`` the
    tables are held in memory alone. decisions: write the log of decisions into each run directory too.
    note: told, a sentence at a time, what the command says on stderr: the offered load, and what a user should know.
    options: gpus, gpus_per_node, gpus_per_link, memory_gib, calibration, and the keys of ``sim.scenario.Scenario``:
    functions, catalogue, map, window, limit, rate_scale, placement, format, frontend, spread, seed, granularity,
    residency, failures, retries, slo, slo_file, clients.

    A run that is not ``valid`` is among those returned. Raises ProjectError, with one sentence, for what can't be
    simulated; what the code of a policy raises is raised.
    """
    named = [policies] if isinstance(policies, str) else list(policies)
    scenario = _scenario(trace, named, options)
    if out is not None:
        summaries = run_scenario(scenario, Path(out), force=force, decisions=decisions, note=note)
        return {text: open_run(path) for text, path in zip(named, summaries, strict=False)}
    with scratch() as place:
        summaries = run_scenario(scenario, place / "runs", decisions=decisions, note=note)
        return {text: hold(open_run(path)) for text, path in zip(named, summaries, strict=False)}


def _scenario(trace: Any, policies: list[str], options: dict[str, Any]) -> Scenario:
    paths = [trace] if isinstance(trace, (str, os.PathLike)) else list(trace)
    fleet = {key: options.pop(key) for key in _OF_FLEET if key in options}
    given = {"traces": [str(Path(path).absolute()) for path in paths], "policies": policies, **options}
    return read_scenario(None, given | ({"fleet": fleet} if fleet else {}))
