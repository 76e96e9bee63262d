"""Speed of the arrival stream against the simulator's own, in one process, alternating.

The stream draws the arrivals of a synthetic trace of minute counts, in order, and drops them: one busy trace, and a
quiet one, where the cost of a minute counts. The simulator is (b) of `benchmarks.engine`, whose arrivals are ready.
Peak memory is that of reading the trace and drawing all its arrivals.

    python -m benchmarks.traces [--largest 20000000]
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from benchmarks.engine import LOAD, MEAN_S, ROUNDS, PoissonTrace, full, timed
from sim.domain import Trace
from sim.records.rundir import peak_rss_bytes
from traces.open import open_trace
from traces.synth.azure2019 import write_azure2019

N_GPUS = 8
N_SIMULATED = 200_000
MINUTES = 240


def drain(trace: Trace) -> float:
    """Wall time in seconds of drawing all arrivals once."""
    n_drawn = 0

    def work() -> None:
        nonlocal n_drawn
        for chunk in trace.chunks():
            n_drawn += len(chunk.at_s)

    wall_s = timed(work)
    assert n_drawn == trace.n_arrivals
    return wall_s


@click.command(help=__doc__)
@click.option("--largest", default=20_000_000, show_default=True, help="Arrivals of the busy trace, about.")
def main(largest: int) -> None:
    """Print arrivals/s of the stream, invocations/s of the simulator, and how many times faster the stream is."""
    simulated = PoissonTrace(N_SIMULATED, 500, LOAD * N_GPUS / MEAN_S)
    click.echo(f"{'functions':>10} {'arrivals':>12} {'stream 1/s':>12} {'full 1/s':>10} {'ratio':>6} {'peak MiB':>9}")
    for n_functions, n_arrivals in ((500, 100_000), (10_000, largest)):
        with tempfile.TemporaryDirectory() as directory:
            rate_per_s = n_arrivals / (MINUTES * 60)
            write_azure2019(Path(directory), n_functions=n_functions, minutes=MINUTES, rate_per_s=rate_per_s)
            trace = open_trace(directory)
        drain(trace)
        peak_bytes = peak_rss_bytes()
        pairs = [(drain(trace), full(simulated, N_GPUS)) for _ in range(ROUNDS)]
        drawing_s, simulating_s = (min(times) for times in zip(*pairs, strict=True))
        stream_per_s, full_per_s = trace.n_arrivals / drawing_s, N_SIMULATED / simulating_s
        click.echo(
            f"{n_functions:10,} {trace.n_arrivals:12,} {stream_per_s:12,.0f} {full_per_s:10,.0f} "
            f"{stream_per_s / full_per_s:6.0f} {peak_bytes / 2**20:9.0f}"
        )


if __name__ == "__main__":
    main()
