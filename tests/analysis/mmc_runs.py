"""Run directories without a simulator: a small seeded M/M/c queue, in the project's schemas."""

from __future__ import annotations

import heapq
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sim.records.results import SCHEMA_VERSION
from sim.records.tables import DEVICES, FUNCTIONS, GPU_PARTS, INVOCATIONS, Table

N_GPUS, INTERVAL_S = 4, 10.0
DISPATCH_S = 0.005  # before an invocation starts; its GPU is not free then

# Service time factor, chance of a cold start, chance of a cache hit, buffers evicted a miss.
POLICIES: dict[str, tuple[float, float, float, int]] = {
    "fifo": (1.15, 0.20, 0.30, 6),
    "round-robin": (1.10, 0.15, 0.40, 5),
    "least-loaded": (1.0, 0.12, 0.50, 4),
    "affinity[penalty=10]": (0.9, 0.05, 0.80, 2),
    "mqfq[T=10,alpha=2]": (0.95, 0.08, 0.70, 2),
    "clockwork": (0.85, 0.04, 0.85, 1),
    "sjf": (0.8, 0.10, 0.60, 3),
    "exclusive": (1.25, 0.60, 0.10, 0),
}


def empty(table: Table) -> pd.DataFrame:
    """A table without rows."""
    return table.schema.empty_table().to_pandas()


def make_tables(
    policy: str, *, n: int = 2000, n_functions: int = 40, duration_s: float = 600.0, seed: int = 7
) -> dict[str, pd.DataFrame]:
    """Tables of an M/M/c queue, first come first served, whose service suits the policy."""
    factor, cold_frac, hit_frac, n_evicted = POLICIES[policy]
    rng = np.random.default_rng(seed)
    arrival = np.sort(rng.uniform(0, 0.97 * duration_s, n))
    function = rng.zipf(1.5, n) % n_functions
    isolated = rng.lognormal(-2, 0.7, n_functions)
    isolated *= 0.8 * N_GPUS * duration_s / isolated[function].sum()
    run_s = isolated[function] * rng.exponential(factor, n)
    cold = rng.random(n) < cold_frac
    missed = cold | (rng.random(n) > hit_frac)
    load_s = np.where(missed, 0.1 * isolated[function], 0.0)
    free = [(0.0, gpu) for gpu in range(N_GPUS)]
    started, device = np.empty(n), np.empty(n, int)
    for i in range(n):
        free_at, gpu = heapq.heappop(free)
        started[i], device[i] = max(arrival[i], free_at) + DISPATCH_S, gpu
        heapq.heappush(free, (started[i] + load_s[i] + run_s[i], gpu))
    end = started + load_s + run_s
    done = end <= duration_s
    begun = started <= duration_s
    invocations = pd.DataFrame(
        {
            "invocation": np.arange(n),
            "function": function,
            "status": np.where(done, "completed", "unfinished"),
            "arrival_at_s": arrival,
            "admitted_at_s": arrival,
            "queued_at_s": arrival,
            "dispatch_s": DISPATCH_S,
            "started_at_s": np.where(begun, started, np.nan),
            "completed_at_s": np.where(done, end, np.nan),
            "device": np.where(begun, device, -1),
            "worker": -1,
            "cold": cold & begun,
            "load_s": load_s,
            "run_s": run_s,
            "host_s": 0.0,
            "expected_s": isolated[function],
            "h2d_bytes": np.where(missed & begun, 50_000_000, 0),
            "constant_bytes": np.where(missed & begun, 50_000_000, 0),
            "d2h_bytes": 0,
            "n_evicted": np.where(missed & begun, n_evicted, 0),
            "reason": "",
            "due_at_s": np.nan,
            "attempt": 1,
            "batch": 1,
        }
    )
    functions = pd.DataFrame(
        {
            "function": np.arange(n_functions),
            "key": [f"f{i}" for i in range(n_functions)],
            "trigger": "http",
            "graph": "g",
            "constants_bytes": 50_000_000,
            "isolated_s": isolated,
        }
    )
    return {"invocations": invocations, "devices": devices_of(invocations, duration_s), "functions": functions}


def devices_of(invocations: pd.DataFrame, duration_s: float) -> pd.DataFrame:
    """The devices table: times spread over the intervals they lie in, the rest booked at the start."""
    ran = invocations[invocations["started_at_s"].notna()]
    start_s, load_s, run_s = (ran[column].to_numpy() for column in ("started_at_s", "load_s", "run_s"))
    spans = {
        "dispatch_s": (start_s - DISPATCH_S, start_s),
        "load_s": (start_s, start_s + load_s),
        "busy_s": (start_s + load_s, start_s + load_s + run_s),
    }
    times = [
        by_interval(ran["device"].to_numpy(), column, from_s.clip(max=duration_s), to_s.clip(max=duration_s))
        for column, (from_s, to_s) in spans.items()
    ]
    starts = pd.DataFrame(
        {
            "device": ran["device"],
            "start_at_s": ran["started_at_s"] // INTERVAL_S * INTERVAL_S,
            "n_started": 1,
            "n_cold": ran["cold"],
            "n_missed": ran["constant_bytes"] > 0,
            "n_evicted": ran["n_evicted"],
            "h2d_bytes": ran["h2d_bytes"],
            "d2h_bytes": ran["d2h_bytes"],
        }
    )
    table = pd.concat([*times, starts.astype({"n_cold": int, "n_missed": int})]).assign(node=0)
    return table.groupby(["device", "node", "start_at_s"], as_index=False).sum().assign(startup_s=0.0)


def by_interval(device: np.ndarray, column: str, from_s: np.ndarray, to_s: np.ndarray) -> pd.DataFrame:
    """Rows of the devices table with the parts of spans that lie in each interval."""
    n = (to_s // INTERVAL_S - from_s // INTERVAL_S).astype(int) + 1
    job = np.repeat(np.arange(len(n)), n)
    start_s = (from_s[job] // INTERVAL_S + np.arange(len(job)) - np.repeat(np.cumsum(n) - n, n)) * INTERVAL_S
    part_s = np.minimum(to_s[job], start_s + INTERVAL_S) - np.maximum(from_s[job], start_s)
    return pd.DataFrame({"device": device[job], "start_at_s": start_s, column: part_s})


def spread(values: np.ndarray) -> dict[str, float | None]:
    """Mean, percentiles and greatest; nulls for none."""
    if not len(values):
        return dict.fromkeys(("mean", "p50", "p90", "p99", "p999", "max"))
    p50, p90, p99, p999 = np.quantile(values, (0.5, 0.9, 0.99, 0.999)).tolist()
    return {
        "mean": float(values.mean()),
        "p50": p50,
        "p90": p90,
        "p99": p99,
        "p999": p999,
        "max": float(values.max()),
    }


def summarise(policy: str, tables: Mapping[str, pd.DataFrame], simulated_s: float) -> dict[str, Any]:
    """The summary object of these tables."""
    invocations, devices = tables["invocations"], tables["devices"]
    done = invocations[invocations["status"] == "completed"]
    ran = invocations[invocations["started_at_s"].notna()]
    shares = {part: float(devices[column].sum()) / (N_GPUS * simulated_s) for part, column in GPU_PARTS.items()}
    return {
        "policy": policy,
        "invocations": len(invocations),
        **{s: int((invocations["status"] == s).sum()) for s in ("completed", "rejected", "failed", "unfinished")},
        "cold_starts": int(invocations["cold"].sum()),
        "cache_hit_frac": float((ran["constant_bytes"] == 0).mean()) if len(ran) else None,
        "throughput_per_s": len(done) / simulated_s,
        "latency_s": spread((done["completed_at_s"] - done["arrival_at_s"]).to_numpy(float)),
        "queue_s": spread((ran["started_at_s"] - ran["arrival_at_s"]).to_numpy(float)),
        "gpu_busy_frac": shares["kernels"],
        "gpu_frac": {**shares, "idle": 1 - sum(shares.values())},
        "h2d_bytes": int(devices["h2d_bytes"].sum()),
        "evictions": int(devices["n_evicted"].sum()),
        "jain_fairness": 0.9 if len(done) else None,
        "simulated_s": simulated_s,
        "wall_s": 0.1,
        "invocations_per_wall_s": len(invocations) / 0.1,
        "peak_rss_bytes": 100_000_000,
        "valid": True,
        "reasons": [],
    }


def write_run(
    path: Path,
    policy: str,
    tables: Mapping[str, pd.DataFrame],
    *,
    simulated_s: float,
    manifest: Mapping[str, Any] | None = None,
    warnings: Sequence[str] | None = None,
) -> Path:
    """Write a run directory; ``manifest`` overrides entries, valid and reasons those of the summary too."""
    path.mkdir(parents=True)
    for table in (INVOCATIONS, DEVICES, FUNCTIONS):
        frame = pa.Table.from_pandas(tables[table.name], schema=table.schema, preserve_index=False)
        pq.write_table(frame, path / f"{table.name}.parquet")
    summary = summarise(policy, tables, simulated_s)
    full = {
        "schema_version": SCHEMA_VERSION,
        "world": "sim",
        "policy": policy,
        "scenario": {
            "seed": 0,
            "window": None,
            "policies": [policy],
            "fleet": {"gpus": N_GPUS, "calibration": "v100-kaas"},
        },
        "calibration": {"name": "v100-kaas", "sha256": "0"},
        "interval_s": INTERVAL_S,
        "simulated_s": simulated_s,
        "valid": True,
        "reasons": [],
        "error": None,
        **(manifest or {}),
    }
    summary.update({key: full[key] for key in ("valid", "reasons")})
    summary |= {} if warnings is None else {"warnings": list(warnings)}
    (path / "manifest.json").write_text(json.dumps(full), encoding="utf-8")
    (path / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    return path
