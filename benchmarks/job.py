"""The default main job, `simulate run` on a trace with its tables written: its speed, and its memory by length.

Speed is that of bare SimPy loops on the same arrivals, in one process, alternating: (a) of `benchmarks.engine`, with
one process and one request for a resource an invocation, which lasts as long as it would when warm and alone. Ratios
above 1 say that an invocation of the job costs less. Memory is the peak of a process that runs the command.

    python -m benchmarks.job [--largest 10000000]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.engine import bare
from sim.api import simulate
from sim.compose import assemble
from sim.models.calibration import load_calibration
from sim.models.workloads.catalogue import load_catalogue
from sim.policies import make_policy
from sim.records.rows import Floats
from sim.scenario import FleetSettings
from sim.workload import bind
from traces.open import open_trace
from traces.synth.azure2019 import write_azure2019

N_GPUS = 8
ROUNDS = 5
RATE_PER_S = 130.0  # keeps three quarters of the GPUs busy
POLICY = "affinity"
LIMIT_MIB = 400
MAIN = "from sim.terminal.start import simulate; simulate()"


def served(trace: Path, limit: int) -> tuple[Floats, Floats]:
    """The job as (a) takes it: instants of arrival, and how long each invocation keeps a GPU."""
    workload = bind(open_trace(trace), catalogue=load_catalogue("kaas"), limit=limit)
    calibration = load_calibration("v100-kaas").without_frontend()
    costs = assemble(workload, make_policy(POLICY), calibration, FleetSettings(gpus=N_GPUS)).costs
    isolated_s = np.array([costs.isolated_s(function.id) for function in workload.functions])
    batches = list(workload.batches())
    at_s = np.concatenate([batch.arrival_at_s for batch in batches])
    return at_s, isolated_s[np.concatenate([batch.function for batch in batches])]


def job(trace: Path, out: Path, limit: int, frontend: str) -> float:
    """Wall time of the job in seconds."""
    (run,) = simulate(trace, POLICY, out=out, force=True, gpus=N_GPUS, limit=limit, frontend=frontend).values()
    assert run.summary["completed"] == limit
    return float(run.summary["wall_s"])


def command(trace: Path, out: Path, limit: int) -> dict[str, Any]:
    """The summary of the job, run as a command of its own."""
    options = ["--policy", POLICY, "--gpus", str(N_GPUS), "--limit", str(limit), "--out", str(out)]
    words = [sys.executable, "-c", MAIN, "run", str(trace), *options, "--force", "--json", "--quiet"]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE)
    (summary,) = json.loads(done.stdout)
    return dict(summary)


@click.command(help=__doc__)
@click.option("--largest", default=10_000_000, show_default=True, help="Invocations of the longest job.")
@click.option("--compared", default=300_000, show_default=True, help="Invocations of the comparison.")
def main(largest: int, compared: int) -> None:
    """Print the ratios, and the peak memory of jobs of a tenth of the length and of the length."""
    with tempfile.TemporaryDirectory() as scratch:
        trace, out = Path(scratch) / "trace", Path(scratch) / "runs"
        minutes = int(1.02 * largest / RATE_PER_S / 60) + 1
        write_azure2019(trace, n_functions=100, minutes=minutes, rate_per_s=RATE_PER_S)
        arrivals = served(trace, compared)
        click.echo(f"{compared:,} invocations     1/s  ratio to bare")
        times = [
            (bare(*arrivals, N_GPUS), job(trace, out, compared, "none"), job(trace, out, compared, "kaas"))
            for _ in range(ROUNDS)
        ]
        best_s = [min(column) for column in zip(*times, strict=True)]
        for name, wall_s in zip(("bare SimPy", "simulate run", "--frontend kaas"), best_s, strict=True):
            click.echo(f"{name:15} {compared / wall_s:12,.0f} {best_s[0] / wall_s:14.2f}")
        short, long = (command(trace, out, limit)["peak_rss_bytes"] / 2**20 for limit in (largest // 10, largest))
        click.echo(
            f"\npeak memory: {short:.0f} MiB for {largest // 10:,} invocations, {long:.0f} MiB for {largest:,}: "
            f"{long - short:+.0f} MiB"
        )
        if long > LIMIT_MIB:
            raise click.ClickException(f"{long:.0f} MiB are more than {LIMIT_MIB} MiB")


if __name__ == "__main__":
    main()
