"""From sums to the summary of a run: the one place that divides."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sim.records.gpus import SECONDS_OF
from sim.records.histogram import RELATIVE_ERROR, Histogram
from sim.records.parts import PARTS
from sim.records.service import GOALS
from sim.records.sums import Sums
from sim.records.tables import GPU_PARTS, STATUSES
from sim.records.totals import TIMES

EXACT = {"from": "values", "error_frac": 0.0}  # what a summary says of its quantiles
_BUCKETS = {"from": "histogram", "error_frac": RELATIVE_ERROR}
_QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}


def summarise(sums: Sums) -> dict[str, Any]:
    """What the tables of a run add up to; docs/metrics.md has the formulas.

    Means, sums, counts and ends are exact. Quantiles are linear between order statistics (Hyndman and Fan, type 7);
    ``quantiles`` tells whether of the values themselves or of the buckets of ``sim.records.histogram``, and by how
    much of each they may be off. Empty sets give None, and so does what is not known.
    """
    of, spreads, run_s = sums.numbers, sums.distributions, sums.simulated_s
    completed, measured = of["completed"], of["measured.completed"]
    gpu = _gpu_frac(of, run_s)
    exact = all(spreads[name].exact for name in TIMES)
    return {
        "invocations": sum(_number(of[status]) for status in STATUSES),
        **{status: of[status] for status in STATUSES},
        "cold_starts": of["cold_starts"],
        "throughput_per_s": _ratio(completed, run_s),
        **{name: spread(spreads[name]) for name in TIMES},
        "quantiles": EXACT if exact else _BUCKETS,
        "gpu_frac": gpu,
        "gpu_busy_frac": gpu["kernels"],
        "gpu_occupied_frac": None if gpu["idle"] is None else 1 - gpu["idle"],
        "cache_hit_frac": _rest(_ratio(of["measured.missed"], measured)),
        "h2d_bytes": of["h2d_bytes"],
        "evictions": of["evictions"],
        "jain_fairness": _jain(of["progress"], of["progress_squares"], of["functions"]),
        "slo_attainment_frac": _ratio(of["kept"], of["due"]),
        "goodput_per_s": _ratio(of["kept"], sums.measured_s) if of["due"] else None,
        "retries": of["retries"],
        "measured": {
            "from_s": sums.from_s,
            "until_s": None if math.isinf(sums.until_s) else sums.until_s,
            "invocations": of["measured.arrived"],
            "completed": measured,
        },
        "cold_frac": _ratio(of["measured.cold"], measured),
        "latency_parts_s": {name: _ratio(of[f"part_s.{name}"], measured) for name in PARTS},
        "slowdown": spread(spreads["slowdown"]),
        "function_slowdown": spread(spreads["function_slowdown"]),
        "function_attainment_frac": {
            name: _ratio(of[f"functions_attaining.{name}"], of["functions_due"]) for name in GOALS
        },
        "function_goodput_per_s": {
            name: _ratio(of[f"kept_by_attaining.{name}"], sums.measured_s) if of["due"] else None for name in GOALS
        },
        "mean_in_system": _ratio(of["in_system_s"], run_s),
        **_paid(of),
    }


def spread(values: Histogram) -> dict[str, float | None]:
    """Mean, quantiles and greatest of these, as a summary has them; None where there are none."""
    if not values.count:
        return dict.fromkeys(("mean", *_QUANTILES, "max"))
    quantiles = values.quantiles(list(_QUANTILES.values())).tolist()
    return {"mean": values.mean, **dict(zip(_QUANTILES, quantiles, strict=True)), "max": values.most}


def _paid(of: Mapping[str, float | None]) -> dict[str, Any]:
    """What resources were there for it, and how evenly GPUs were used."""
    by_name = {name.removeprefix(SECONDS_OF): seconds for name, seconds in of.items() if name.startswith(SECONDS_OF)}
    busy_s, squares, gpus = _number(of["gpu_s.kernels"]), _number(of["busy_squares"]), _number(of["gpus"])
    mean_s = busy_s / gpus
    return {
        "gpu_balance": {
            "jain": _jain(busy_s, squares, gpus),
            "cv": _ratio(math.sqrt(max(squares / gpus - mean_s**2, 0.0)), mean_s),
        },
        "gpu_hours": _number(of["gpu_s"]) / 3600,
        "gpu_hours_of": {name: _number(seconds) / 3600 for name, seconds in by_name.items()},
        "instance_hours": _number(of["instance_s"]) / 3600,
        "idle_memory_byte_s": of["idle_byte_s"],
        "energy_j": of["energy_j"],
    }


def _number(value: float | None) -> float:
    assert value is not None, "only some sums may be unknown"
    return value


def _ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def _rest(share: float | None) -> float | None:
    return None if share is None else 1 - share


def _jain(total: float | None, squares: float | None, n: float | None) -> float | None:
    """Jain's index (Jain et al., DEC-TR-301, 1984) of n numbers, from their sum and that of their squares."""
    return _number(total) ** 2 / (_number(n) * squares) if squares else None


def _gpu_frac(of: Mapping[str, float | None], run_s: float) -> dict[str, float | None]:
    """Parts of the time of all GPUs."""
    gpu_time_s = _number(of["gpus"]) * run_s
    if not gpu_time_s:
        return dict.fromkeys((*GPU_PARTS, "idle"))
    parts = {part: _number(of[f"gpu_s.{part}"]) / gpu_time_s for part in GPU_PARTS}
    return {**parts, "idle": max(0.0, 1 - sum(parts.values()))}
