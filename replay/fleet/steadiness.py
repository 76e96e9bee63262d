"""Whether a replay took place on one machine, which stayed what it was: lost workers, stalls, drift of run times.

A run is cut into tenths, of a second at least. In each, on each device, the times of warm invocations in kernels are
compared with the median of their graph over the whole run, so that it does not matter which graphs came when.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from replay.fleet.clocks import ClockSample

N_WINDOWS = 10
LEAST_S = 1.0  # of a window: what is over sooner is a hiccup, which stalls tell
LEAST_RUNS = 10  # in a window, for its median; with 5, a tenth of a quiet run would look slow too often
DRIFT_FRAC = 0.1  # between two windows: more deserves a warning ...
INVALID_DRIFT_FRAC = 0.25  # ... and with more than this, times before and after are of two machines
STALL_S, STALL_FACTOR = 0.1, 3.0  # a warm invocation stalled that took so much and so many times longer than others
STALLS_FRAC, STALLS_N = 0.01, 3  # as with late arrivals: so few say nothing
MOST_TOLD = 100  # lost workers that a manifest lists


@dataclass(frozen=True, slots=True)
class Verdict:
    """What speaks against a run, what a reader of its numbers should know, and the facts for its manifest."""

    reasons: list[str]
    warnings: list[str]
    facts: dict[str, Any]


def judge_losses(losses: Sequence[dict[str, Any]]) -> Verdict:
    """Workers that ended by themselves. One is enough: what waited for its restart waited for no policy.

    losses: worker, device, at_s (since the start of the run), how.
    """
    reasons = []
    if losses:
        first = losses[0]
        told = f"worker {first['worker']} of device {first['device']} {first['how']} after {first['at_s']:.4g} s"
        reasons = [f"1 worker was lost: {told}" if len(losses) == 1 else f"{len(losses):,} workers were lost: {told}"]
    return Verdict(reasons, [], {"n_lost_workers": len(losses), "lost_workers": list(losses[:MOST_TOLD])})


def judge_times(
    rows: pd.DataFrame, end_s: float, clocks: Sequence[ClockSample], *, alone: bool, strict: bool
) -> Verdict:
    """Drift and stalls of warm invocations, and drift of clocks.

    rows: completed warm invocations with device, started_at_s, graph, run_s and host_s. end_s: when the run ended.
    alone: whether no worker shares its device; else the neighbours decide on run times, which are not judged.
    strict: whether what is too much makes the run invalid, else it is a warning.
    """
    windows = _windows(rows if alone else rows[:0], end_s, clocks)
    slow, n_stalls = _drift(windows), _count_stalls(rows) if alone else 0
    clock = _clock_drift(windows)
    serious: list[str] = []
    told: list[str] = []
    if slow is not None and slow[0] > DRIFT_FRAC:
        drift, least, most = slow
        text = f"run times drifted by {drift:.0%}: {_where(least)}, {_where(most)}{_heat(windows)}"
        (serious if drift > INVALID_DRIFT_FRAC else told).append(text)
    if n_stalls:
        most_n = max(STALLS_N, int(STALLS_FRAC * len(rows)))
        text = f"{n_stalls:,} of {len(rows):,} warm invocations stalled for {STALL_S:g} s, at most {most_n:,} may"
        (serious if n_stalls > most_n else told).append(text)
    if clock is not None and clock > DRIFT_FRAC:
        told.append(f"the clock of the multiprocessors drifted by {clock:.0%}{_heat(windows)}")
    facts = {
        "run_time_drift_frac": None if slow is None else slow[0],
        "sm_clock_drift_frac": clock,
        "n_stalls": n_stalls,
        "windows": windows,
    }
    reasons, warnings = (serious, told) if strict else ([], [*serious, *told])
    return Verdict(reasons, [f"not the same machine throughout: {text}" for text in warnings], {"steadiness": facts})


def _windows(rows: pd.DataFrame, end_s: float, clocks: Sequence[ClockSample]) -> list[dict[str, Any]]:
    """By device and window: number of runs, their median as a multiple of that of their graphs, and clocks."""
    n_windows = min(N_WINDOWS, max(int(end_s / LEAST_S), 1))
    length_s = max(end_s, LEAST_S) / n_windows
    ratio = rows["run_s"] / rows.groupby("graph")["run_s"].transform("median")
    runs = pd.DataFrame({"device": rows["device"], "at_s": rows["started_at_s"], "ratio": ratio})
    seen = pd.DataFrame(clocks, columns=list(ClockSample._fields))
    cells = []
    for device in sorted({*runs["device"], *seen["device"]}):
        for number in range(n_windows):
            ran, said = (_within(table, device, number * length_s, length_s) for table in (runs, seen))
            if len(ran) or len(said):
                cells.append(
                    {
                        "device": int(device),
                        "start_at_s": number * length_s,
                        "n": len(ran),
                        "run_time_ratio": _median(ran["ratio"]) if len(ran) >= LEAST_RUNS else None,
                        "sm_clock_mhz": _median(said["sm_clock_mhz"]),
                        "temperature_c": _median(said["temperature_c"]),
                    }
                )
    return cells


def _within(table: pd.DataFrame, device: int, from_s: float, length_s: float) -> pd.DataFrame:
    at_s = table["at_s"]
    return table[(table["device"] == device) & (at_s >= from_s) & (at_s < from_s + length_s)]


def _median(values: pd.Series[Any]) -> float | None:
    told = values.astype(float).replace([np.inf, -np.inf], np.nan).dropna()
    return float(told.median()) if len(told) else None


def _drift(windows: Sequence[dict[str, Any]]) -> tuple[float, dict[str, Any], dict[str, Any]] | None:
    """(slowest / quickest - 1, quickest window, slowest window)."""
    known = [window for window in windows if window["run_time_ratio"]]
    if len(known) < 2:
        return None
    least, most = (choose(known, key=lambda window: window["run_time_ratio"]) for choose in (min, max))
    return most["run_time_ratio"] / least["run_time_ratio"] - 1, least, most


def _clock_drift(windows: Sequence[dict[str, Any]]) -> float | None:
    """Of the windows in which the GPU was at work: an idle one may lower its clock."""
    clocks = [window["sm_clock_mhz"] for window in windows if window["n"] >= LEAST_RUNS and window["sm_clock_mhz"]]
    return max(clocks) / min(clocks) - 1 if len(clocks) > 1 else None


def _count_stalls(rows: pd.DataFrame) -> int:
    took_s = rows["run_s"] + rows["host_s"]
    usual_s = took_s.groupby(rows["graph"]).transform("median")
    return int(((took_s > usual_s + STALL_S) & (took_s > STALL_FACTOR * usual_s)).sum())


def _where(window: dict[str, Any]) -> str:
    ratio, device, at_s = (window[key] for key in ("run_time_ratio", "device", "start_at_s"))
    return f"{ratio:.3g} times the median on device {device} from {at_s:.3g} s"


def _heat(windows: Sequence[dict[str, Any]]) -> str:
    """Clocks and temperature, where they are known."""
    told = []
    for key, unit in (("sm_clock_mhz", "MHz"), ("temperature_c", "°C")):
        if values := [window[key] for window in windows if window[key] is not None]:
            told.append(f"{min(values):.0f} to {max(values):.0f} {unit}")
    return f" ({', '.join(told)})" if told else ""
