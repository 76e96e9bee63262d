"""What a table of points comes to: how far off the simulation is, and what is gained when GPUs are contended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from sim.studies.kaas import N_GPUS, Point
from sim.studies.points import HAND_SET

Rows = Sequence[Mapping[str, Any]]

QUANTITIES = {"throughput_qps": "throughput", "p50_s": "p50 latency", "p90_s": "p90 latency"}
CLAIMED = {"throughput": 50.0, "latency": 16.0}  # "up to", abstract of arXiv 2212.08146


def is_fitted(point: Point) -> bool:
    """Whether the throughput of a point is one that numbers of ``v100-kaas`` were derived from; see the calibration."""
    if point.mode == "exclusive" and point.clients == N_GPUS + 1:
        return True  # the stages of cold starts
    return point.workload == "resnet50" and point.mode in ("kaas", "exclusive") and 2 <= point.clients <= 4


def errors(rows: Rows) -> list[dict[str, Any]]:
    """Median, 90th percentile and worst of the absolute relative errors, by quantity: of all points, of those that
    the calibration wasn't derived from, and by mode. Values that weren't measured (HAND_SET) don't count."""
    table = []
    for name, quantity in QUANTITIES.items():
        known = [
            (point_of(row), row[f"simulated_{name}"] / row[name] - 1)
            for row in rows
            if row.get(name) and row.get(f"simulated_{name}") and (point_of(row), row[name]) not in HAND_SET
        ]
        groups = {"all": known}
        if name == "throughput_qps":
            groups["all but calibrated"] = [(p, e) for p, e in known if not is_fitted(p)]
        modes = dict.fromkeys(point.mode for point, _ in known)
        groups |= {mode: [(p, e) for p, e in known if p.mode == mode] for mode in modes}
        table += [{"quantity": quantity, "points": group, **_spread(found)} for group, found in groups.items() if found]
    return table


def gains(rows: Rows, *, of: str, over: str) -> list[dict[str, Any]]:
    """How many times the throughput of the mode ``over``, and how many times less median latency, the mode ``of``
    has with more clients than GPUs: the most of any number of clients, by workload; simulated and, where all was
    measured, measured."""
    table = []
    for name, better in (("throughput_qps", 1), ("p50_s", -1)):
        values = {
            source: {point_of(row): row[f"{source}{name}"] for row in rows if row.get(f"{source}{name}")}
            for source in ("simulated_", "")
        }
        for workload in dict.fromkeys(row["workload"] for row in rows):
            best: dict[str, tuple[float, int]] = {}
            for source, known in values.items():
                pairs = [
                    ((known[p] / known[rival]) ** better, p.clients)
                    for p in known
                    if p.workload == workload and p.mode == of and p.clients > N_GPUS
                    and (rival := p._replace(mode=over)) in known
                ]  # fmt: skip
                if pairs:
                    best[source] = max(pairs)
            if "simulated_" in best:
                table.append(_gain(name, workload, best))
    return table


def _gain(name: str, workload: str, best: Mapping[str, tuple[float, int]]) -> dict[str, Any]:
    quantity = "throughput" if name == "throughput_qps" else "latency"
    simulated, at_clients = best["simulated_"]
    measured, measured_at = best.get("", (None, None))
    return {
        "quantity": quantity,
        "workload": workload,
        "simulated": simulated,
        "at_clients": at_clients,
        "measured": measured,
        "measured_at_clients": measured_at,
        "claimed": CLAIMED[quantity],
    }


def as_text(rows: Rows) -> str:
    """Rows as columns of text, numbers to three digits; the columns of the first row."""
    if not rows:
        return ""
    columns = list(rows[0])
    cells = [columns, *([_cell(name, row.get(name)) for name in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)
    return "\n".join(line.rstrip() for line in lines)


def point_of(row: Mapping[str, Any]) -> Point:
    """The point of a row."""
    return Point(row["workload"], row["mode"], row["clients"])


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return (
            f"{value:+.1%}"
            if name.endswith("error_frac")
            else f"{value:.1%}"
            if name.endswith("_frac")
            else f"{value:.3g}"
        )
    return str(value)


def _spread(found: Iterable[tuple[Point, float]]) -> dict[str, Any]:
    worst, error_frac = max(found, key=lambda pair: abs(pair[1]))
    off = np.abs([e for _, e in found])
    return {
        "n": len(off),
        "median_frac": float(np.median(off)),
        "p90_frac": float(np.quantile(off, 0.9)),
        "worst_error_frac": error_frac,
        "worst_at": f"{worst.workload} {worst.mode} {worst.clients}",
    }
