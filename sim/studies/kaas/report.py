"""What a table of points comes to: how far off the simulation is, and what is gained when GPUs are contended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from sim.studies.kaas.experiments import N_GPUS, Point
from sim.studies.kaas.points import HAND_SET

Rows = Sequence[Mapping[str, Any]]

QUANTITIES = {"throughput_qps": "throughput", "p50_s": "p50 latency", "p90_s": "p90 latency"}
CLAIMED = {"throughput": 50.0, "latency": 16.0}  # "up to", abstract of arXiv 2212.08146


def is_fitted(point: Point) -> bool:
    """Whether the throughput of a point is one that numbers of ``v100-kaas`` were derived from; see the calibration."""
    if point.mode == "exclusive" and point.clients == N_GPUS + 1:
        return True  # the stages of cold starts
    if point[:3] == ("cGEMM", "kaas", 32):
        return True  # the rate of reloads
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
    has with more clients than GPUs: the most of any number of clients, by workload; simulated and, where both were
    measured, measured."""
    table = []
    for quantity, name, sign in (("throughput", "throughput_qps", 1), ("latency", "p50_s", -1)):
        for workload in dict.fromkeys(row["workload"] for row in rows):
            its = [row for row in rows if row["workload"] == workload and row["clients"] > N_GPUS]
            simulated, at_clients = _most(its, f"simulated_{name}", of, over, sign)
            measured, measured_at_clients = _most(its, name, of, over, sign)
            if simulated is not None:
                table.append(
                    {
                        "quantity": quantity,
                        "workload": workload,
                        "simulated": simulated,
                        "at_clients": at_clients,
                        "measured": measured,
                        "measured_at_clients": measured_at_clients,
                        "claimed": CLAIMED[quantity],
                    }
                )
    return table


def _most(rows: Rows, name: str, of: str, over: str, sign: int) -> tuple[float | None, int | None]:
    """The greatest ratio of two modes, or of its inverse (sign -1), and its number of clients."""
    its, rival = ({row["clients"]: row[name] for row in rows if row["mode"] == m and row.get(name)} for m in (of, over))
    ratios = [((its[n] / rival[n]) ** sign, n) for n in its.keys() & rival.keys()]
    return max(ratios, default=(None, None))


def point_of(row: Mapping[str, Any]) -> Point:
    """The point of a row."""
    return Point(row["workload"], row["mode"], row["clients"], row.get("offered_per_s"))


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
