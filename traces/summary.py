"""What is in a trace: the figures of ``traces inspect``."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from sim.domain import Trace
from traces.placement import MINUTE_S, Floats

_QUANTILES = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)


def summarise(trace: Trace) -> dict[str, Any]:
    """Figures of a trace, ready for JSON; draws all its arrivals once.

    Keys are units: ``_s`` seconds, ``_per_s`` rates, ``_bytes``, ``_frac`` shares. Quantiles are over functions:
    of their mean durations, and of their memory, where it is known. ``mean_concurrency`` is the time spent in
    invocations over the window's length, without cold starts and queues. ``peak_per_s``: of the busiest minute.
    """
    n_by_function = np.zeros(len(trace.functions), np.int64)
    n_by_minute = np.zeros(int(np.ceil(trace.duration_s / MINUTE_S)), np.int64)
    busy_s = 0.0
    for chunk in trace.chunks():
        n_by_function += np.bincount(chunk.function, minlength=len(n_by_function))
        n_by_minute += np.bincount((chunk.at_s // MINUTE_S).astype(int), minlength=len(n_by_minute))
        busy_s += float(chunk.duration_s.sum())
    n_invocations = int(n_by_function.sum())
    memory = [f.memory_bytes for f in trace.functions if f.memory_bytes is not None]
    invocations_by_trigger: Counter[str] = Counter()
    for function, n in zip(trace.functions, n_by_function.tolist(), strict=True):
        invocations_by_trigger[function.trigger] += n
    functions_by_trigger = Counter(function.trigger for function in trace.functions)
    return {
        "format": trace.source.format,
        "files": list(trace.source.files),
        "window_s": list(trace.source.window_s),
        "options": dict(trace.source.options),
        "n_functions": len(trace.functions),
        "n_apps": len({function.app for function in trace.functions}),
        "n_invocations": n_invocations,
        "mean_per_s": n_invocations / trace.duration_s,
        "peak_per_s": int(n_by_minute.max()) / MINUTE_S,
        "top_function_frac": int(n_by_function.max()) / max(1, n_invocations),
        "top_function": trace.functions[int(n_by_function.argmax())].key,
        "mean_duration_s": busy_s / max(1, n_invocations),
        "mean_concurrency": busy_s / trace.duration_s,
        "triggers": {
            trigger: {
                "functions_frac": n / len(trace.functions),
                "invocations_frac": invocations_by_trigger[trigger] / max(1, n_invocations),
            }
            for trigger, n in functions_by_trigger.most_common()
        },
        "duration_s": _quantiles(np.array([f.mean_s for f in trace.functions])),
        "memory_bytes": _quantiles(np.array(memory, float)) if memory else None,
        "anomalies": dict(trace.source.anomalies),
    }


def _quantiles(values: Floats) -> dict[str, float]:
    return {f"p{round(q * 100)}": float(np.quantile(values, q)) for q in _QUANTILES}
