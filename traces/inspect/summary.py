"""What is in a trace: the figures of ``traces inspect``."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from sim.domain import Trace, TraceFunction
from traces.anomalies import RULES
from traces.inspect.tally import Tally
from traces.units import MINUTE_S, Floats, Ints

_BINS_S = tuple(MINUTE_S * n for n in (1, 5, 15, 60, 6 * 60, 24 * 60))
_BINS_MAX = 400  # what a figure can show
_UTILISATION_FRAC = (0.5, 0.7, 0.9)  # ample, usual, and too little for any burst
_RANKS = 200  # points of the popularity curve
_PERCENTS = np.arange(101)


def summarise(trace: Trace) -> dict[str, Any]:
    """Figures of a trace, ready for JSON; draws all its arrivals once, in memory that doesn't grow with their number.

    Everything is exact for the arrivals drawn, but for ``duration_s.of_invocations``: of more than 4,096 invocations it
    is within 0.4%. Where a trace counts per minute, ``iat_cv`` depends on the placement within the minute. Shares are 0
    to 1. ``percentiles`` and the lists ``of_functions`` and ``of_invocations`` have 101 values: the 0th percentile to
    the 100th, linear in between.

    - format: name of the format
    - files: the files that were read
    - window_s: start and end, s of trace time
    - options: how arrivals were made of counts, as in the manifest of a run
    - functions: number of functions with an invocation in the window
    - apps: number of their apps
    - invocations: number of arrivals
    - rate.mean_per_s: invocations/s over the window
    - rate.bin_s: length of a bin, s
    - rate.min_per_s: invocations/s of the quietest bin
    - rate.max_per_s: invocations/s of the busiest bin
    - rate.busiest_minute_per_s: invocations/s of the busiest minute
    - rate.bins_per_s: invocations/s of each bin from the start of the window; the last may be shorter
    - iat_cv.functions: number of functions with 3 or more inter-arrival times, of which the next two tell
    - iat_cv.above_1_frac: share of functions with a coefficient of variation above 1; null when there is none
    - iat_cv.percentiles: over functions, standard deviation / mean of inter-arrival times; null when there is none
    - popularity.top_function: key of the function with most invocations
    - popularity.top_1_frac: its share of invocations
    - popularity.top_1_percent_frac: share of the most invoked 1% of functions, rounded up
    - popularity.top_10_percent_frac: share of the most invoked 10% of functions, rounded up
    - popularity.bottom_half_frac: share of the least invoked half of functions, rounded down
    - popularity.rank: ranks, from 1, about evenly spaced on a logarithmic axis
    - popularity.rank_frac: share of invocations of the function at each of these ranks
    - duration_s.measured_on: what durations are of, where they follow from something else in the trace; else null
    - duration_s.mean: mean over invocations, s; null without invocations
    - duration_s.of_invocations: percentiles over invocations, s; null without invocations
    - duration_s.of_functions: percentiles over functions of their mean duration as the trace tells it, s
    - mean_concurrency: invocations at a time, without cold starts and queues: busy seconds / seconds of the window
    - busiest_minute_concurrency: invocations at a time in the minute in which most run, without cold starts and queues
    - fleet.utilisation_frac: shares of time for which GPUs are to be busy
    - fleet.gpus: for each of these, GPUs that it takes if every invocation has a whole GPU for its duration
    - fleet.busiest_minute_gpus: the same for the busiest minute
    - memory_bytes.functions: number of functions whose memory is known
    - memory_bytes.percentiles: percentiles over these functions, bytes; null when there is none
    - triggers.*.functions_frac: share of functions that have the trigger
    - triggers.*.invocations_frac: share of invocations of these functions
    - anomalies.*.count: how many odd rows, cells or functions the rule handled
    - anomalies.*.rule: what they are, and how they are read
    """
    tally = Tally(len(trace.functions), trace.duration_s)
    for chunk in trace.chunks():
        tally.add(chunk)
    n_invocations = int(tally.per_function.sum())
    mean_concurrency = tally.busy_s / trace.duration_s
    busiest_concurrency = float(tally.concurrency().max())
    memory = np.array([f.memory_bytes for f in trace.functions if f.memory_bytes is not None], float)
    return {
        "format": trace.source.format,
        "files": list(trace.source.files),
        "window_s": list(trace.source.window_s),
        "options": dict(trace.source.options),
        "functions": len(trace.functions),
        "apps": len({function.app for function in trace.functions}),
        "invocations": n_invocations,
        "rate": _rate(tally.per_minute, trace.duration_s),
        "iat_cv": _iat_cv(tally.inter_arrival_cv()),
        "popularity": _popularity(tally.per_function, trace),
        "duration_s": {
            "measured_on": trace.source.durations_of or None,
            "mean": tally.busy_s / n_invocations if n_invocations else None,
            "of_invocations": tally.durations_s.quantiles(_PERCENTS / 100).tolist() if n_invocations else None,
            "of_functions": _percentiles(np.array([f.mean_s for f in trace.functions])),
        },
        "mean_concurrency": mean_concurrency,
        "busiest_minute_concurrency": busiest_concurrency,
        "fleet": {
            "utilisation_frac": list(_UTILISATION_FRAC),
            "gpus": _gpus(mean_concurrency),
            "busiest_minute_gpus": _gpus(busiest_concurrency),
        },
        "memory_bytes": {"functions": len(memory), "percentiles": _percentiles(memory)},
        "triggers": _triggers(trace.functions, tally.per_function),
        "anomalies": {name: {"count": n, "rule": RULES[name]} for name, n in trace.source.anomalies.items()},
    }


def _rate(per_minute: Ints, duration_s: float) -> dict[str, Any]:
    bin_s = next((b for b in _BINS_S if duration_s <= b * _BINS_MAX), _BINS_S[-1])
    counts = np.add.reduceat(per_minute, np.arange(0, len(per_minute), round(bin_s / MINUTE_S)))
    lengths_s = np.minimum(bin_s, duration_s - bin_s * np.arange(len(counts)))
    bins_per_s = counts / lengths_s
    return {
        "mean_per_s": int(per_minute.sum()) / duration_s,
        "bin_s": bin_s,
        "min_per_s": float(bins_per_s.min()),
        "max_per_s": float(bins_per_s.max()),
        "busiest_minute_per_s": int(per_minute.max()) / min(MINUTE_S, duration_s),
        "bins_per_s": bins_per_s.tolist(),
    }


def _gpus(concurrency: float) -> list[int]:
    """GPUs that are busy for each of ``_UTILISATION_FRAC`` when so many invocations run at a time, a GPU each."""
    return [max(1, math.ceil(round(concurrency / frac, 9))) for frac in _UTILISATION_FRAC]


def _iat_cv(cv: Floats) -> dict[str, Any]:
    known = cv[~np.isnan(cv)]
    return {
        "functions": len(known),
        "above_1_frac": float((known > 1).mean()) if len(known) else None,
        "percentiles": _percentiles(known),
    }


def _popularity(per_function: Ints, trace: Trace) -> dict[str, Any]:
    n = len(per_function)
    shares = np.sort(per_function)[::-1] / max(1, per_function.sum())
    rank = np.unique(np.rint(np.geomspace(1, n, _RANKS)).astype(np.int64))
    return {
        "top_function": trace.functions[int(per_function.argmax())].key,
        "top_1_frac": float(shares[0]),
        "top_1_percent_frac": float(shares[: -(-n // 100)].sum()),
        "top_10_percent_frac": float(shares[: -(-n // 10)].sum()),
        "bottom_half_frac": float(shares[n - n // 2 :].sum()),
        "rank": rank.tolist(),
        "rank_frac": shares[rank - 1].tolist(),
    }


def _triggers(functions: Sequence[TraceFunction], per_function: Ints) -> dict[str, Any]:
    invocations: Counter[str] = Counter()
    for function, n in zip(functions, per_function.tolist(), strict=True):
        invocations[function.trigger] += n
    return {
        trigger: {
            "functions_frac": n / len(functions),
            "invocations_frac": invocations[trigger] / max(1, invocations.total()),
        }
        for trigger, n in Counter(function.trigger for function in functions).most_common()
    }


def _percentiles(values: Floats) -> list[float] | None:
    return np.percentile(values, _PERCENTS).tolist() if len(values) else None
