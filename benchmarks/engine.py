"""Speed and memory of the simulator against a bare SimPy loop, on the same arrivals, in one process, alternating.

(a) bare: one process and one Resource request per invocation; no policy, no memory, no records.
(b) full: `affinity` on 8 GPUs with the memory model, every record written to Parquet.

Then (b) alone, with more functions, more GPUs and long queues: the cost of an invocation must not grow with them.

    python -m benchmarks.engine [--largest 1000000]
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import simpy

from sim.compose import assemble, simulate_into
from sim.domain import ArrivalChunk, TraceFunction, TraceSource
from sim.models.calibration import ByKind, load_calibration
from sim.policies import make_policy
from sim.records.recorder import Recorder
from sim.records.rows import Floats
from sim.records.rundir import peak_rss_bytes
from sim.scenario import FleetSettings
from sim.seam import Ending
from sim.workload import bind

LOAD = 0.8
MEAN_S = 0.05
ROUNDS = 3


@dataclass
class PoissonTrace:
    """Poisson arrivals of functions with Zipf popularity (exponent 1.1), exponential service of mean 50 ms."""

    n_arrivals: int
    n_functions: int
    rate_per_s: float

    def __post_init__(self) -> None:
        rng = np.random.default_rng(0)
        self.at_s = np.cumsum(rng.exponential(1 / self.rate_per_s, self.n_arrivals))
        share = 1 / np.arange(1, self.n_functions + 1) ** 1.1
        self.function = rng.choice(self.n_functions, self.n_arrivals, p=share / share.sum()).astype(np.int32)
        self.run_s = rng.exponential(MEAN_S, self.n_arrivals)
        self.duration_s = float(self.at_s[-1])
        self.source = TraceSource("benchmark", (), (0.0, self.duration_s))
        self.functions = [
            TraceFunction(f"f{i}", "app", "http", MEAN_S, 100 * 2**20, 1.0) for i in range(self.n_functions)
        ]

    def chunks(self) -> Iterator[ArrivalChunk]:
        for i in range(0, self.n_arrivals, 10_000):
            rows = slice(i, i + 10_000)
            yield ArrivalChunk(self.at_s[rows], self.function[rows], self.run_s[rows])


def bare(arriving_at_s: Floats, lasting_s: Floats, n_gpus: int) -> float:
    """Wall time of (a) in seconds. arriving_at_s, lasting_s: when each invocation comes, and its time on a GPU."""
    env = simpy.Environment()
    gpus = simpy.Resource(env, n_gpus)

    def invocation(run_s: float) -> Generator[simpy.Event, Any, None]:
        with gpus.request() as turn:
            yield turn
            yield env.timeout(run_s)

    def arrivals() -> Generator[simpy.Event, Any, None]:
        now_s = 0.0
        for at_s, run_s in zip(arriving_at_s.tolist(), lasting_s.tolist(), strict=True):
            yield env.timeout(at_s - now_s)
            now_s = at_s
            env.process(invocation(run_s))

    env.process(arrivals())
    return timed(env.run)


def full(trace: PoissonTrace, n_gpus: int, policy: str = "affinity") -> float:
    """Wall time of (b) in seconds, tables included."""
    # Without the frontend and the dispatch of that stack, which would be the bottleneck of large fleets.
    v100 = load_calibration("v100-kaas")
    calibration = replace(v100, frontend=None, graphs={}, dispatch_s=ByKind(0.0, 0.0))
    workload = bind(trace, catalogue=None)
    ended: list[tuple[Recorder, Ending]] = []
    inputs = assemble(workload, make_policy(policy), calibration, FleetSettings(gpus=n_gpus, sharing="turns"))
    with tempfile.TemporaryDirectory() as directory:
        wall_s = timed(lambda: ended.append(simulate_into(Path(directory), inputs)))
        recorder, outcome = ended[-1]
        assert recorder.summary(outcome.end_s)["completed"] == trace.n_arrivals
    return wall_s


def timed(work: Callable[[], object]) -> float:
    """Wall time of a call in seconds, garbage collected before."""
    gc.collect()
    begun_s = time.perf_counter()
    work()
    return time.perf_counter() - begun_s


@click.command(help=__doc__)
@click.option("--largest", default=1_000_000, show_default=True, help="Invocations of the largest comparison.")
def main(largest: int) -> None:
    """Print the comparison and the growth of the cost."""
    click.echo(f"{'invocations':>12} {'bare 1/s':>10} {'full 1/s':>10} {'full/bare':>10} {'peak MiB':>9}")
    n = 10_000
    while n <= largest:
        trace = PoissonTrace(n, 500, LOAD * 8 / MEAN_S)
        pairs = [(bare(trace.at_s, trace.run_s, 8), full(trace, 8)) for _ in range(ROUNDS)]
        a, b = (n / min(times) for times in zip(*pairs, strict=True))
        click.echo(f"{n:12,} {a:10,.0f} {b:10,.0f} {b / a:10.2f} {peak_rss_bytes() / 2**20:9.0f}")
        n *= 10
    n = min(largest, 200_000)
    click.echo(f"\nfull at {n:,} invocations, 1/s")
    for label, n_functions, n_gpus, load in (
        ("10 functions, 8 GPUs", 10, 8, LOAD),
        ("10,000 functions, 8 GPUs", 10_000, 8, LOAD),
        ("1,000 functions, 8 GPUs", 1_000, 8, LOAD),
        ("1,000 functions, 1,000 GPUs", 1_000, 1_000, LOAD),
        ("1,000 functions, 8 GPUs, overload (half the invocations wait)", 1_000, 8, 2.0),
    ):
        trace = PoissonTrace(n, n_functions, load * n_gpus / MEAN_S)
        for policy in ("affinity", "balance", "least-loaded", "keepalive"):
            wall_s = min(full(trace, n_gpus, policy) for _ in range(2))
            click.echo(f"  {label}, {policy}: {n / wall_s:,.0f}")


if __name__ == "__main__":
    main()
