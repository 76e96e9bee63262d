"""The ``replay`` command."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sim import __version__
from sim.terminal.console import INVALID, SETTINGS, ProjectGroup, echo, note, quiet_option
from sim.terminal.progress import progress

if TYPE_CHECKING:
    from sim.records.results import Run
    from sim.scenario import Scenario
    from sim.workload import Workload


@click.group(cls=ProjectGroup, context_settings=SETTINGS)
@click.version_option(__version__)
def main() -> None:
    """Replay traces on a real GPU, under the policies of the simulator, and calibrate the simulator by it.

    \b
    Example:
      replay probe -o probe.json
      replay run azure2019/ --policy affinity --catalogue small --window 08:00-08:01 --out runs/affinity
      replay calibrate runs/affinity --probe probe.json -o here.json
      replay validate --calibration here.json runs/affinity
    """


@main.command()
@click.argument("traces", nargs=-1, required=True, metavar="TRACE...", type=click.Path(path_type=Path))
@click.option(
    "--policy",
    required=True,
    metavar="NAME[k=v,...]",
    help="See 'simulate policies', also for what each needs. FILE.py:CLASS[k=v,...] is one of yours.",
)
@click.option(
    "--mode", metavar="MODE", help="kaas, exclusive, static, fractional, green or shared.  [default: the policy's]"
)
@click.option("--device", default="cpu", show_default=True, help="cuda:N, the first GPU of the fleet, or cpu.")
@click.option("--gpus", default=1, show_default=True, help="GPUs of the fleet; with cpu, processes that act as one.")
@click.option("--catalogue", default="small", show_default=True, metavar="NAME|FILE", help="kaas, small or a file.")
@click.option("--window", metavar="HH:MM-HH:MM", help="Part of the trace, in trace time.  [default: all]")
@click.option("--duration", "duration_s", type=float, metavar="SECONDS",
              help="Stop arrivals after so long; more than 900 must be said here.")  # fmt: skip
@click.option("--rate-scale", default=1.0, show_default=True, help="Factor on the rate of every function.")
@click.option("--time-scale", default=1.0, show_default=True, help="Factor on all times between arrivals.")
@click.option("--memory-limit", "memory_limit_bytes", type=int, metavar="BYTES",
              help="Device memory for the workers of a GPU.  [default: 90 % of what is free]")  # fmt: skip
@click.option("--calibration", default="v100-kaas", show_default=True, metavar="NAME|FILE",
              help="What the policy is told about durations.")  # fmt: skip
@click.option("--placement", default="uniform", show_default=True, help="uniform, equidistant, poisson or start.")
@click.option("--format", "format_", help="Format of the trace, see 'traces formats'.  [default: told from the files]")
@click.option("--seed", default=0, show_default=True, help="Seed of all that is drawn.")
@click.option("--out", "-o", type=click.Path(path_type=Path), metavar="DIR",
              help="Run directory.  [default: runs/<time>-<policy>]")  # fmt: skip
@click.option("--force", is_flag=True, help="Replace an older run in DIR.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@quiet_option
def run(out: Path | None, force: bool, as_json: bool, policy: str, **flags: Any) -> None:
    """Serve the invocations of TRACE in real time under a policy, by kernels on a device.

    Writes a run directory like 'simulate run', and the log of all decisions. Takes as long as the trace: more than 15
    minutes only when --duration says so. Exits 1 when the run is not valid.

    Of what policies may need, a replay carries timers, shared devices, executors and latest start. A policy that
    needs something else is refused before the run.

    \b
    Example:
      replay run azure2019/ --policy exclusive --catalogue small --window 08:00-08:01 --rate-scale 0.05
    """
    from replay.fleet.paced import announce
    from replay.run import RealExperiment, ReplaySettings
    from sim.models.calibration import load_calibration
    from sim.records.rundir import check_free, new_runs

    pace = {name: flags.pop(name) for name in ("time_scale", "duration_s")}
    setup = ReplaySettings(**{name: flags.pop(name) for name in ("device", "mode", "memory_limit_bytes")})
    scenario = _scenario(policy, **flags)
    calibration = load_calibration(scenario.fleet.calibration)
    workload = open_workload(scenario, **pace)
    experiment = RealExperiment(scenario, policy, workload, calibration, setup)
    announcement = announce(workload.trace, pace["duration_s"])
    if out is not None:
        check_free(out, force=force)
    directory = out or new_runs(f"-{experiment.policy.name}")
    note(announcement)
    with progress(experiment.policy.describe(), workload.n_arrivals) as tell:
        summary = experiment.run(directory, force=force, progress=tell)
    from analysis.compare import as_text, compare
    from analysis.labels import identity
    from sim.records.results import open_run

    done = open_run(directory)
    if as_json:
        click.echo(json.dumps({**identity(done), **summary}, indent=1))
    else:
        echo(f"{as_text(compare([done]))}\n\n{directory}/")
    if not summary["valid"]:
        sys.exit(INVALID)


@main.command()
@click.option("--device", default="cpu", show_default=True, help="cuda:N or cpu.")
@click.option("--out", "-o", metavar="FILE", type=click.Path(path_type=Path),
              help="Keep the JSON here, for 'replay calibrate'.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def probe(device: str, out: Path | None, as_json: bool) -> None:
    """Measure a machine: copies, launches, modules, memory and the start of a process; takes a few seconds.

    \b
    Example:
      replay probe --device cuda:0 -o probe.json
    """
    from replay.calibration.probe import as_text, is_probe
    from replay.calibration.probe import probe as measure
    from sim.files.output import check_file, write_json

    if out is not None:
        check_file(out, is_probe)
    found = measure(device)
    if out is not None:
        write_json(out, found, is_probe)
    if as_json:
        click.echo(json.dumps(found, indent=1))
    else:
        echo(as_text(found))


@main.command()
@click.argument("trial", metavar="TRIAL")
@click.option("--device", default="cpu", show_default=True, help="cuda:N or cpu.")
@click.option("--catalogue", default="small", show_default=True, metavar="NAME|FILE", help="kaas, small or a file.")
@click.option("--mode", metavar="MODE", help="Of neighbours: static (they take turns), fractional (MPS) or green.")
@click.option("--memory-limit", "memory_limit_bytes", default=1 << 30, show_default=True, metavar="BYTES",
              help="Device memory of each worker.")  # fmt: skip
@click.option("--seconds", type=float, metavar="SECONDS",
              help="Of starts: how long to begin new ones; of others: of each measurement.")  # fmt: skip
@click.option("--out", "-o", metavar="FILE", type=click.Path(path_type=Path), help="Keep the JSON here.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def measure(trial: str, out: Path | None, as_json: bool, seconds: float | None, **flags: Any) -> None:
    """Put one question to a device: TRIAL is kernels, libraries, starts, copies or neighbours.

    \b
    kernels     each kernel of each graph; launches one by one and as a CUDA graph
    libraries   products of matrices, and the same by PyTorch
    starts      20 cold starts of each graph in each of four ways
    copies      of one process, of two, and while kernels run
    neighbours  1 to 8 workers on the device: alone, in pairs, all at once

    \b
    Example:
      replay measure kernels --device cuda:0 --catalogue kaas --memory-limit 8000000000 -o kernels.json
    """
    from replay.trials.ask import as_text, ask, is_answer
    from sim.files.output import check_file, write_json

    if out is not None:
        check_file(out, is_answer)
    if seconds is not None:
        flags["seconds"] = seconds
    found = ask(trial, **flags)
    if out is not None:
        write_json(out, found, is_answer)
    echo(json.dumps(found, indent=1) if as_json else as_text(found))


@main.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@click.option("--probe", "probe_file", required=True, metavar="FILE", type=click.Path(path_type=Path),
              help="What 'replay probe -o' wrote on this machine.")  # fmt: skip
@click.option("--out", "-o", required=True, metavar="FILE", type=click.Path(path_type=Path),
              help="Calibration file; one of an earlier call is replaced.")  # fmt: skip
def calibrate(runs: tuple[Path, ...], probe_file: Path, out: Path) -> None:
    """Write a calibration file for 'simulate run --calibration' from replays on one device, with one memory limit.

    Runs that are not valid are left out, and named.

    \b
    Example:
      replay calibrate runs/affinity runs/exclusive --probe probe.json -o here.json
    """
    from replay.calibration.calibrate import calibrate as fit
    from replay.calibration.calibrate import is_fit
    from replay.calibration.probe import read_probe
    from replay.calibration.samples import valid_of
    from sim.files.output import write_json
    from sim.records.results import open_run

    valid, left_out = valid_of([open_run(run) for run in runs])
    for why in left_out:
        echo(f"Left out: {why}", err=True)
    write_json(out, fit(valid, read_probe(probe_file), out.stem), is_fit)
    echo(out)


@main.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@click.option("--calibration", required=True, metavar="NAME|FILE", help="What the simulation takes to be true.")
@click.option("--out", "-o", type=click.Path(path_type=Path), metavar="DIR",
              help="Keep the simulations here, with figures of both.  [default: keep nothing]")  # fmt: skip
@click.option("--force", is_flag=True, help="Replace older simulations in DIR.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def validate(runs: tuple[Path, ...], calibration: str, out: Path | None, force: bool, as_json: bool) -> None:
    """Simulate what RUN replayed, and show measured beside simulated.

    Runs of the same scenario are repeats: their median is compared, and from three on the error is shown beside their
    spread. The trace must still be where it was. Policies are told the same expected durations as in the replay.

    \b
    Example:
      replay validate --calibration here.json runs/affinity-1 runs/affinity-2 runs/affinity-3
    """
    from replay.calibration.repeats import as_text, group_repeats, judge
    from replay.calibration.samples import valid_of
    from replay.calibration.validate import compare
    from sim.files.output import scratch
    from sim.records.results import open_run

    judged = {}
    with scratch() as place:
        for number, group in enumerate(group_repeats([open_run(path) for path in runs])):
            repeats, left_out = valid_of(group)
            for why in left_out:
                echo(f"Left out: {why}", err=True)
            first = repeats[0]
            twin = place / str(number) if out is None else out / first.path.resolve().name
            simulated = simulate_twin(first, calibration, twin, force=force)
            rows = judged[first.path] = judge([compare(run.summary, simulated) for run in repeats])
            if out is not None:
                draw_pair(first.path, twin, out / "figures" / twin.name)
            if not as_json:
                echo(as_text(first.label, rows) + "\n")
    if as_json:
        plain = {
            str(path): {
                row.name: {
                    "measured": row.middle.measured,
                    "simulated": row.simulated,
                    "error_frac": row.middle.error_frac,
                    "spread_frac": row.spread_frac,
                    "verdict": row.verdict,
                    "repeats": row.measured,
                }
                for row in rows
            }
            for path, rows in judged.items()
        }
        click.echo(json.dumps(plain, indent=1))


@main.command()
@click.option("--device", default="cuda:0", show_default=True, help="cuda:N; cpu for a rehearsal with small graphs.")
@click.option("--out", "-o", default="runs/gpu", show_default=True, metavar="DIR", type=click.Path(path_type=Path),
              help="Folder for three files of results; those in it are replaced.")  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on from the results in DIR: do what is missing, keep the rest.")
def session(device: str, out: Path, resume: bool) -> None:
    """Do all that needs a GPU, in nine minutes: tests, probe, replays, calibration, validation.

    Writes gpu.json, which says what became of each step, gpu.tar.gz with all results, and a page of figures, gpu.png;
    all of them anew after every step. A step that fails leaves the others theirs; exits 1 when one did.

    \b
    Example:
      replay session --out runs/gpu
    """
    from functools import partial

    from replay.session import ON_CPU, ON_GPU, plan
    from replay.steps import run_session

    steps = partial(plan, device, ON_CPU if device == "cpu" else ON_GPU)
    if any(outcome.status != 0 for outcome in run_session(steps, out, echo, resume=resume)):
        sys.exit(INVALID)


def simulate_twin(run: Run, calibration: str, directory: Path, *, force: bool) -> dict[str, Any]:
    """Simulate what a run replayed; returns the summary. Also checks that its policy would decide the same again."""
    from replay.calibration.validate import ToldPolicy, check_log, on_memory_of
    from replay.errors import ReplayError
    from sim.experiment import Experiment
    from sim.models.calibration import load_calibration
    from sim.scenario import Scenario
    from sim.schema import build

    try:
        import sim.engine  # noqa: F401
    except ModuleNotFoundError as missing:  # a machine that was set up for replays alone
        raise ReplayError(f"{missing.name} is missing, which a simulation needs: pip install {missing.name}") from None
    numbers = on_memory_of(run, load_calibration(calibration))
    plain = run.manifest["scenario"]
    plain = {**plain, "fleet": {**plain["fleet"], "calibration": calibration}}
    scenario = build(Scenario, plain, str(run.path / "manifest.json"))
    pace = run.manifest["source"]["options"]
    workload = open_workload(scenario, pace["time_scale"], pace["duration_s"])
    check_log(run, workload.functions)
    return Experiment(scenario, ToldPolicy(run), workload, numbers).run(directory, force=force)


def draw_pair(measured: Path, simulated: Path, folder: Path) -> None:
    """Figures with a replay and its simulation as two lines."""
    from analysis.api import plot
    from analysis.runs import open_runs

    runs = open_runs([measured, simulated])
    plot(runs, folder, [f"{run.label}, {run.manifest['world']}" for run in runs])


def open_workload(scenario: Scenario, time_scale: float, duration_s: float | None) -> Workload:
    """The workload of a scenario at the pace of a replay."""
    from replay.fleet.paced import PacedTrace
    from sim.compose import open_trace_of
    from sim.models.workloads.catalogue import load_catalogue
    from sim.workload import bind

    trace = PacedTrace(open_trace_of(scenario), time_scale, duration_s)
    workload = bind(trace, catalogue=load_catalogue(scenario.catalogue))
    workload.require_arrivals()
    return workload


def _scenario(
    policy: str, calibration: str, gpus: int, format_: str | None, traces: tuple[Path, ...], **flags: Any
) -> Scenario:
    from sim.scenario import read_scenario

    given = {name: value for name, value in flags.items() if value is not None}
    fleet = {"gpus": gpus, "calibration": calibration}
    named = {"traces": [str(t) for t in traces], "policies": [policy], "format": format_, "fleet": fleet}
    return read_scenario(None, given | named)
