"""What devices did over time: the sums of the devices table, by device and interval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.records.rows import Floats
from sim.records.tables import DEVICES, GPU_PARTS

_Spans = tuple[npt.NDArray[np.int32], Floats, Floats]  # device, from, to

N_INTERVALS = 2_000  # at most; a run that lasts longer gets longer intervals
_ROUND_S = (0.01, 0.1, 1.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0)  # lengths that a reader can name
_SUMS = tuple(c.name for c in DEVICES.columns[3:])
_COUNTS = _SUMS[len(GPU_PARTS) :]  # booked when an invocation starts; the others are times, booked when they pass


class DeviceSums:
    """Sums by device and interval. ``interval_s`` is the length of an interval, which grows with the run.

    shared: invocations may overlap on a device, so spans are kept until ``settle()`` or ``close()``, which count the
    time in which there are some, however many at once.
    """

    def __init__(self, n_devices: int, interval_s: float) -> None:
        self.interval_s = interval_s
        self.shared = False
        self._spans: dict[str, list[_Spans]] = {name: [_no_spans()] for name in GPU_PARTS.values()}
        self._sums = np.zeros((len(_SUMS), n_devices, 0))

    def add(self, device: npt.NDArray[np.int32], row: Mapping[str, npt.NDArray[Any]]) -> None:
        """Add invocations: columns dispatch_s, started_at_s, load_s, run_s, store_s and the counts of the table."""
        begun_s = row["started_at_s"]
        kernels_at_s = begun_s + row["load_s"]
        done_s = kernels_at_s + row["run_s"]
        self._make_room(float(done_s.max()))
        self._add_spans("busy_s", device, kernels_at_s, done_s)
        self._add_spans("load_s", device, begun_s, kernels_at_s)
        self._add_spans("load_s", device, done_s, done_s + row["store_s"])
        self._add_spans("dispatch_s", device, begun_s - row["dispatch_s"], begun_s)
        shape = self._sums.shape[1:]
        flat = device * shape[1] + (begun_s // self.interval_s).astype(np.int64)
        for name, sums in zip(_SUMS, self._sums, strict=True):
            if name in _COUNTS:
                sums += np.bincount(flat, row[name], shape[0] * shape[1]).reshape(shape)

    def add_startups(self, device: npt.NDArray[np.int32], from_s: Floats, to_s: Floats) -> None:
        """Add starts of workers: from when a worker took its device until it was ready."""
        self._add_spans("startup_s", device, from_s, to_s)

    def settle(self, until_s: float) -> None:
        """Count what lies before an instant, and keep it no longer. No span that is still to come begins before it."""
        covered: list[_Spans] = []
        before = np.zeros(self._sums.shape[1:])
        for name, sums in zip(GPU_PARTS.values(), self._sums, strict=False):
            device, from_s, to_s = (np.concatenate(column) for column in zip(*self._spans[name], strict=True))
            early, late = from_s < until_s, to_s > until_s
            covered.append((device[early], from_s[early], np.minimum(to_s, until_s)[early]))
            self._spans[name] = [(device[late], np.maximum(from_s, until_s)[late], to_s[late])]
            device, from_s, to_s = (np.concatenate(column) for column in zip(*covered, strict=True))
            if len(device):
                total = np.zeros_like(before)
                spread_over(total, device, without_overlap(device, from_s, to_s), to_s, self.interval_s)
                sums += np.maximum(total - before, 0.0)
                before = total

    def close(self) -> dict[str, float]:
        """Complete the sums; returns those of GPU_PARTS over all devices and intervals."""
        if self.shared:
            self.settle(np.inf)
        return {part: float(sums.sum()) for part, sums in zip(GPU_PARTS, self._sums, strict=False)}

    def busy_s(self) -> Floats:
        """Seconds of each device in kernels."""
        busy_s: Floats = self._sums[_SUMS.index("busy_s")].sum(axis=1)
        return busy_s

    def columns(self, node_of: npt.NDArray[np.int32]) -> dict[str, Any]:
        """The devices table, without rows in which nothing happened. node_of: each device's node."""
        device, interval = np.nonzero(self._sums.any(axis=0))
        return {
            "device": device,
            "node": node_of[device],
            "start_at_s": interval * self.interval_s,
        } | {name: sums[device, interval] for name, sums in zip(_SUMS, self._sums, strict=True)}

    def _add_spans(self, name: str, device: npt.NDArray[np.int32], from_s: Floats, to_s: Floats) -> None:
        if not len(device) or not (to_s > from_s).any():
            return
        self._make_room(float(to_s.max()))
        if self.shared:
            self._spans[name].append((device, from_s, to_s))
        else:
            spread_over(self._sums[_SUMS.index(name)], device, from_s, to_s, self.interval_s)

    def _make_room(self, until_s: float) -> None:
        while until_s // self.interval_s >= N_INTERVALS:
            longer_s = lengthen(self.interval_s)
            factor = round(longer_s / self.interval_s)
            padded = np.pad(self._sums, ((0, 0), (0, 0), (0, -self._sums.shape[2] % factor)))
            self._sums = padded.reshape(*padded.shape[:2], -1, factor).sum(axis=3)
            self.interval_s = longer_s
        needed = int(until_s // self.interval_s) + 1
        present = self._sums.shape[2]
        if needed > present:
            wanted = min(needed + needed // 2, N_INTERVALS)
            self._sums = np.pad(self._sums, ((0, 0), (0, 0), (0, wanted - present)))


def _no_spans() -> _Spans:
    return np.zeros(0, dtype=np.int32), np.zeros(0), np.zeros(0)


def spread_over(sums: Floats, row: npt.NDArray[np.int32], from_s: Floats, to_s: Floats, interval_s: float) -> None:
    """Add the lengths of the spans [from_s, to_s) to ``sums[row, interval]``, each part to the interval it lies in.

    The interval of every ``to_s`` must exist.
    """
    first = (from_s // interval_s).astype(np.int64)
    last = (to_s // interval_s).astype(np.int64)
    n = sums.shape[1]
    flat = sums.reshape(-1)  # a view
    within = first == last
    flat += np.bincount(row[within] * n + first[within], (to_s - from_s)[within], flat.size)
    if within.all():
        return
    row, from_s, to_s, first, last = (a[~within] for a in (row, from_s, to_s, first, last))
    flat += np.bincount(row * n + first, (first + 1) * interval_s - from_s, flat.size)
    flat += np.bincount(row * n + last, to_s - last * interval_s, flat.size)
    steps = np.zeros((len(sums), n + 1))  # intervals strictly between are full: +1 after the first, -1 at the last
    np.add.at(steps, (row, first + 1), 1)
    np.add.at(steps, (row, last), -1)
    sums += np.cumsum(steps, axis=1)[:, :n] * interval_s


def without_overlap(row: npt.NDArray[np.int32], from_s: Floats, to_s: Floats) -> Floats:
    """Later starts for the spans [from_s, to_s), so that in each row they cover the same time, but none of it twice."""
    order = np.lexsort((from_s, row))
    starts_s = from_s.copy()
    for own in np.split(order, np.flatnonzero(np.diff(row[order])) + 1):
        covered_s = np.maximum.accumulate(to_s[own])[:-1]
        starts_s[own[1:]] = np.minimum(np.maximum(from_s[own[1:]], covered_s), to_s[own[1:]])
    return starts_s


def lengthen(interval_s: float) -> float:
    """The next longer interval that is a multiple of this one and a round number of seconds; from an hour on, twice."""
    for length_s in _ROUND_S:
        factor = length_s / interval_s
        if factor > 1.5 and abs(factor - round(factor)) < 1e-9:
            return length_s
    return 2 * interval_s


def choose_interval_s(duration_s: float) -> float:
    """Length of the intervals that a run starts with: about 500 in ``duration_s``, a round number of seconds."""
    steps = [m * 10.0**e for e in range(-3, 1) for m in (1, 2, 5)] + [10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0]
    return next((s for s in steps if duration_s <= 500 * s), 3600.0)
