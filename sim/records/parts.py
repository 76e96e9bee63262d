"""Where the time of an invocation went: parts of its latency that add up to it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sim.records.rows import Floats

PARTS = ("gate", "before_pool", "pool", "cold_start", "dispatch", "loads", "kernels", "host", "reply")
_ROUNDING_S = 1e-9  # what subtraction of instants leaves of 0


def latency_parts(row: Mapping[str, Floats], start_s: Floats) -> dict[str, Floats]:
    """Seconds of completed invocations in each of PARTS, (n,) each.

    row: columns of the table of invocations. start_s: for how long each was in the pool while its worker started.

    gate: from arrival until it was let in, on the way to the door too. before_pool: stages of the host and of the
    server until it entered the pool. pool: waiting there for a worker; cold_start: the part of that wait in which its
    worker started, which pool leaves out. dispatch, loads, kernels, host: dispatch_s, load_s, run_s, host_s. reply: the
    rest until its client had the reply: copies back, stages of the host, and the way.
    """
    began_at_s = row["started_at_s"] - row["dispatch_s"]
    left_s = row["completed_at_s"] - row["started_at_s"] - row["load_s"] - row["run_s"] - row["host_s"]
    return {
        "gate": row["admitted_at_s"] - row["arrival_at_s"],
        "before_pool": row["queued_at_s"] - row["admitted_at_s"],
        "pool": _exact(began_at_s - row["queued_at_s"] - start_s),
        "cold_start": start_s,
        "dispatch": row["dispatch_s"],
        "loads": row["load_s"],
        "kernels": row["run_s"],
        "host": row["host_s"],
        "reply": _exact(left_s),
    }


def _exact(seconds: Floats) -> Floats:
    return np.where(np.abs(seconds) < _ROUNDING_S, 0.0, seconds)
