"""What a policy costs: process time of a run under each, over that of a run under `balance` on the same arrivals.

Two loads, of which one is below what the fleet can serve, and one is above, so that the queue grows all along. Policies
whose workers all stand from the beginning serve few functions, and are left out.

    python -m benchmarks.policies [--invocations 30000] [--rounds 3]
"""

from __future__ import annotations

import gc
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import click

from benchmarks.engine import MEAN_S, PoissonTrace
from sim.compose import assemble, simulate_into
from sim.models.calibration import ByKind, load_calibration
from sim.policies import known, make_policy
from sim.scenario import FleetSettings
from sim.workload import bind

N_GPUS, N_FUNCTIONS = 64, 1_000
LOADS = (0.8, 1.5)


def process_s(trace: PoissonTrace, policy: str) -> float:
    """Process time of a run in seconds, tables included."""
    calibration = replace(load_calibration("v100-kaas"), frontend=None, graphs={}, dispatch_s=ByKind(0.0, 0.0))
    workload = bind(trace, catalogue=None)
    inputs = assemble(workload, make_policy(policy), calibration, FleetSettings(gpus=N_GPUS, sharing="turns"))
    with tempfile.TemporaryDirectory() as directory:
        gc.collect()
        begun_s = time.process_time()
        recorder, outcome = simulate_into(Path(directory), inputs)
        lasted_s = time.process_time() - begun_s
        assert recorder.summary(outcome.end_s)["completed"] == trace.n_arrivals
    return lasted_s


@click.command(help=__doc__)
@click.option("--invocations", default=30_000, show_default=True, help="Invocations of a run.")
@click.option("--rounds", default=3, show_default=True, help="Runs of each, alternating; the fastest counts.")
def main(invocations: int, rounds: int) -> None:
    """Print the ratios."""
    names = [name for name in known() if name not in ("fractional", "static")]
    traces = {load: PoissonTrace(invocations, N_FUNCTIONS, load * N_GPUS / MEAN_S) for load in LOADS}
    runs = [(load, name) for load in LOADS for name in names]
    least_s = dict.fromkeys(runs, float("inf"))
    for _ in range(rounds):
        for load, name in runs:
            least_s[load, name] = min(least_s[load, name], process_s(traces[load], name))
    click.echo(f"{'policy':18}" + "".join(f"  at load {load}" for load in LOADS))
    for name in names:
        ratios = [least_s[load, name] / least_s[load, "balance"] for load in LOADS]
        click.echo(f"{name:18}" + "".join(f"{ratio:13.2f}" for ratio in ratios))


if __name__ == "__main__":
    main()
