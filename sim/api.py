"""Simulations from Python: a trace, policies and options in, runs with their tables as data frames out."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.experiment import run_scenario
from sim.files.output import scratch
from sim.processes.pool import Jobs
from sim.records.results import Run, hold, open_run
from sim.scenario import Scenario, read_scenario
from sim.sweeps.study import make_study, read_study
from sim.sweeps.sweep import Tables, run_study

if TYPE_CHECKING:
    import pandas as pd

_OF_FLEET = ("gpus", "gpus_per_node", "gpus_per_link", "memory_gib", "calibration")


def simulate(
    trace: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    policies: str | Sequence[str],
    *,
    out: str | os.PathLike[str] | None = None,
    force: bool = False,
    decisions: bool = False,
    stays: bool = False,
    note: Callable[[str], None] = lambda _: None,
    **options: Any,
) -> dict[str, Run]:
    """Serve the invocations of a trace under each policy, as ``simulate run`` does; returns the runs by policy.

    trace: a file, a directory, or several of one trace. policies: as of ``--policy``, such as "affinity[penalty=2]".
    out: a directory, in which each policy gets a run directory; force: replace older runs there. Without ``out`` the
    tables are held in memory alone. decisions: write the log of decisions into each run directory too.
    stays: write what was in device memory when, too.
    note: told, a sentence at a time, what the command says on stderr: the offered load, and what a user should know.
    options: gpus, gpus_per_node, gpus_per_link, memory_gib, calibration, and the keys of ``sim.scenario.Scenario``:
    functions, catalogue, map, window, limit, rate_scale, placement, format, frontend, spread, seed, granularity,
    residency, failures, retries, slo, slo_file, clients, warmup_s, cooldown_s.

    A run that is not ``valid`` is among those returned. Raises ProjectError, with one sentence, for what can't be
    simulated; what the code of a policy raises is raised.
    """
    named = [policies] if isinstance(policies, str) else list(policies)
    scenario = _scenario(trace, named, options)
    if out is not None:
        summaries = run_scenario(scenario, Path(out), force=force, decisions=decisions, stays=stays, note=note)
        return {text: open_run(path) for text, path in zip(named, summaries, strict=False)}
    with scratch() as place:
        summaries = run_scenario(scenario, place / "runs", decisions=decisions, stays=stays, note=note)
        return {text: hold(open_run(path)) for text, path in zip(named, summaries, strict=False)}


def sweep(
    study: str | os.PathLike[str] | Mapping[str, Any],
    out: str | os.PathLike[str],
    *,
    jobs: Jobs = "auto",
    ray: str | None = None,
    tables: Tables = "all",
    note: Callable[[str], None] = lambda _: None,
) -> pd.DataFrame:
    """Run every point of a study that has no valid run in ``out`` yet, as ``simulate sweep`` does; one row a run.

    study: its file, or what stands in one as a mapping, whose paths go from the working directory. out: a new folder,
    or that of an earlier sweep. jobs: processes; "auto" for one a CPU. ray: "local" or the address of a Ray cluster.
    tables: "summary" keeps no tables of the runs. note: told what a user should know. For the columns of the frame see
    ``sim.sweeps.table.results``.

    A point that can't be run, or whose run is not valid, has a row that says so. Raises ProjectError, with one
    sentence, for what can be refused before the first run, and KeyboardInterrupt, with what is done kept, when it is
    told to stop.
    """
    read = make_study(study, {}, "study", Path.cwd()) if isinstance(study, Mapping) else read_study(study)
    came = run_study(read, Path(out), jobs=jobs, ray=ray, tables=tables, note=note)
    if came.interrupted:
        raise KeyboardInterrupt
    return came.frame


def _scenario(trace: Any, policies: list[str], options: dict[str, Any]) -> Scenario:
    paths = [trace] if isinstance(trace, (str, os.PathLike)) else list(trace)
    fleet = {key: options.pop(key) for key in _OF_FLEET if key in options}
    given = {"traces": [str(Path(path).absolute()) for path in paths], "policies": policies, **options}
    return read_scenario(None, given | ({"fleet": fleet} if fleet else {}))
