"""The points of models as the law predicts them from those that it may see, and how far off it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from sim.models.mig.scaling import A100, Law, fitted
from sim.studies.mig.points import Model

BARS = {"one": (0.07, 0.18), "several": (0.12, 0.35)}  # of median and 90th percentile, by processes
LEAST_LATENCY_S = 0.01  # half a millisecond of rounding is at most 5 % of it
Row = dict[str, Any]


def predicted(model: Model, law: Law = A100) -> list[Row]:
    """A row for every point: what was measured, what is predicted, and the error predicted / measured - 1.

    Throughput is in inputs/s of one of the processes, as in the file.
    """
    scaling = fitted(model.seen_s, law)
    rows = []
    for point, measured in model.points.items():
        latency_s = scaling.latency_s(point.profile, point.batch, point.processes)
        throughput_per_s = point.batch / latency_s
        rows.append(
            {
                "model": model.name,
                **point._asdict(),
                "seen": point.is_seen,
                "throughput_per_s": measured.throughput_per_s,
                "predicted_throughput_per_s": throughput_per_s,
                "error_frac": throughput_per_s / measured.throughput_per_s - 1,
                "latency_s": measured.latency_s,
                "predicted_latency_s": latency_s,
                "latency_error_frac": latency_s / measured.latency_s - 1 if measured.latency_s else None,
            }
        )
    return rows


def errors(rows: Sequence[Row]) -> list[Row]:
    """How far off points are that the law didn't see: of each model, and of all; with one process, and with several.

    Median, 90th percentile and worst error of the throughput, and beside them the bars; median and 90th percentile of
    the error of the latency, where that is so long that its rounding hardly counts.
    """
    models = list(dict.fromkeys(row["model"] for row in rows))
    groups: list[tuple[str, Sequence[Row]]] = [(name, [row for row in rows if row["model"] == name]) for name in models]
    if len(models) > 1:
        groups.append(("all", rows))
    table = []
    for name, its in groups:
        for processes, bars in BARS.items():
            unseen = [row for row in its if not row["seen"] and (row["processes"] == 1) == (processes == "one")]
            if unseen:
                table.append({"model": name, "processes": processes, **_spread(unseen, bars)})
    return table


def _spread(rows: Sequence[Row], bars: tuple[float, float]) -> Row:
    worst = max(rows, key=lambda row: abs(row["error_frac"]))
    median, p90 = _quantiles(row["error_frac"] for row in rows)
    latency_median, latency_p90 = _quantiles(
        row["latency_error_frac"] for row in rows if row["latency_s"] >= LEAST_LATENCY_S
    )
    return {
        "n": len(rows),
        "median_frac": median,
        "bar_median_frac": bars[0],
        "p90_frac": p90,
        "bar_p90_frac": bars[1],
        "worst_error_frac": worst["error_frac"],
        "worst_at": f"{worst['slices']} slices, {worst['processes']} x {worst['batch']}",
        "latency_median_frac": latency_median,
        "latency_p90_frac": latency_p90,
    }


def _quantiles(errors_frac: Iterable[float]) -> tuple[float | None, float | None]:
    """Median and 90th percentile of the absolute errors; None without any."""
    off = np.abs([*errors_frac])
    return (float(np.median(off)), float(np.quantile(off, 0.9))) if len(off) else (None, None)
