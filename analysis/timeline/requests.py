"""Arrivals and replies with the arrows between them, orders of the policy, evictions, and counters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from analysis.timeline.events import arrow, counter, instant, piece, text
from analysis.timeline.gpus import Gpus
from analysis.timeline.lanes import Ints
from analysis.timeline.scene import MOST_INSTANTS, MOST_POINTS, Scene, ns
from analysis.timeline.thinning import greatest, steps
from analysis.timeline.tracks import REQUESTS, Tracks

if TYPE_CHECKING:
    import pandas as pd

_MARK_NS = 1_000  # an arrival is a slice so long, for an arrow begins at a slice; shorter if another comes


def ends(scene: Scene, gpus: Gpus, tracks: Tracks) -> Iterator[str]:
    """Arrivals, replies and other ends; an arrow from each arrival over what ran to the end."""
    rows = scene.invocations[scene.invocations["kept"]]
    ran = scene.invocations["kept"].to_numpy()[gpus.ran]
    over = rows[~rows["completed_at_s"].isna()].sort_values(["completed_at_s", "invocation"])
    arrivals, replies = tracks.track(REQUESTS, "arrivals"), tracks.track(REQUESTS, "ends")
    came = rows.sort_values(["arrival_at_s", "invocation"])
    yield from _marks(scene, came, "arrival_at_s", arrivals, "s", set(over["invocation"].tolist()))
    begin_ns = gpus.steps_ns[ran, 0].tolist()
    done = (~scene.invocations["completed_at_s"].isna()).to_numpy()[gpus.ran[ran]]
    numbers = scene.invocations["invocation"].to_numpy()[gpus.ran[ran]].tolist()
    places = zip(gpus.process[gpus.owner[ran]].tolist(), gpus.track[ran].tolist(), strict=True)
    for number, at_ns, (pid, tid), is_over in zip(numbers, begin_ns, places, done.tolist(), strict=True):
        if is_over:
            yield arrow("t", pid, tid, at_ns, number)
    yield from _marks(scene, over, "completed_at_s", replies, "f", set(over["invocation"].tolist()))


def _marks(scene: Scene, rows: pd.DataFrame, column: str, tid: int, phase: str, pointed: set[int]) -> Iterator[str]:
    """A short slice for each row, in their order, and an end of an arrow there."""
    at_ns = ns(rows[column])
    until_ns = np.minimum(at_ns + _MARK_NS, np.append(at_ns[1:], at_ns[-1:] + _MARK_NS))
    names = [text(name) for name in scene.functions]
    facts = zip(at_ns.tolist(), until_ns.tolist(), rows["invocation"], rows["function"], rows["status"], strict=True)
    for begin, end, number, function, status in facts:
        yield piece(REQUESTS, tid, begin, end, names[function], f'{{"invocation":{number},"status":"{status}"}}')
        if number in pointed:
            yield arrow(phase, REQUESTS, tid, begin, number)


def counters(scene: Scene, tracks: Tracks, stays: pd.DataFrame | None) -> Iterator[str]:
    """How many invocations wait and run, and the memory of each GPU that buffers take, where the run recorded it."""
    rows = scene.invocations
    started_at_s, over_at_s = rows["started_at_s"].to_numpy(), rows["over_at_s"].to_numpy()
    begun = ~np.isnan(started_at_s)
    waits_until = np.where(begun, started_at_s, over_at_s)
    yield from _level(scene, REQUESTS, "waiting", ns(rows["arrival_at_s"]), ns(waits_until))
    left_at_s = rows["left_at_s"].to_numpy()[begun]
    yield from _level(scene, REQUESTS, "running", ns(started_at_s[begun]), ns(left_at_s))
    if stays is None:
        return
    left_at_ns = ns(stays["left_at_s"].fillna(scene.span_ns[1] / 1e9 + 1))
    loaded_at_ns, n_bytes = ns(stays["loaded_at_s"]), stays["bytes"].to_numpy(np.int64)
    for device in np.unique(stays["device"]).tolist():
        its = (stays["device"] == device).to_numpy()
        name = f"GPU {device} memory of buffers"
        yield from _level(scene, tracks.node(device), name, loaded_at_ns[its], left_at_ns[its], n_bytes[its])


def _level(
    scene: Scene, pid: int, name: str, from_ns: Ints, until_ns: Ints, amount: Ints | None = None
) -> Iterator[str]:
    amount = np.ones(len(from_ns), np.int64) if amount is None else amount
    span_ns = scene.window_ns
    times, values = steps(np.concatenate([from_ns, until_ns]), np.concatenate([amount, -amount]), span_ns, MOST_POINTS)
    for at_ns, value in zip(times.tolist(), values.tolist(), strict=True):
        yield counter(pid, at_ns, text(name), value)


def evictions(scene: Scene, gpus: Gpus, stays: pd.DataFrame | None) -> Iterator[str]:
    """Instants at which buffers lost their place, at the worker: whose, or how many where nobody recorded it."""
    workers = scene.workers["worker"].tolist()
    home = dict(zip(workers, zip(gpus.process.tolist(), gpus.home.tolist(), strict=True), strict=True))
    if stays is None:
        rows = scene.invocations.iloc[gpus.ran].assign(at_ns=gpus.steps_ns[:, 1])
        rows = rows[(rows["n_evicted"] > 0) & rows["kept"]]
        facts = rows[["at_ns", "worker", "n_evicted", "invocation"]].itertuples(index=False, name=None)
        for at_ns, worker, n, number in facts:
            pid, tid = home[worker]
            yield instant(pid, tid, at_ns, f'"evicted {n} buffers"', f'{{"n":{n},"for_invocation":{number}}}')
        return
    left = stays[stays["reason"].isin(["evicted", "ordered"]) & stays["worker"].isin(workers)]
    left = left[scene.inside(ns(left["left_at_s"]))]
    left = left[greatest(left["bytes"].to_numpy(np.float64), MOST_INSTANTS)]
    facts = zip(ns(left["left_at_s"]).tolist(), left["worker"], left["function"], left["bytes"], strict=True)
    for at_ns, worker, function, n_bytes in facts:
        pid, tid = home[worker]
        yield instant(pid, tid, at_ns, text(f"evicted {scene.functions[function]}"), f'{{"bytes":{n_bytes}}}')


def orders(scene: Scene, tracks: Tracks, actions: pd.DataFrame) -> Iterator[str]:
    """Instants at which the policy gave orders."""
    at_ns = ns(actions["at_s"])
    actions, at_ns = actions[scene.inside(at_ns)], at_ns[scene.inside(at_ns)]
    kinds = actions["kind"].astype(str)
    n_of_kind = kinds.map(kinds.value_counts()).astype(np.float64)
    kept = greatest(-np.asarray(n_of_kind), MOST_INSTANTS)  # of the rarest kinds
    tid = tracks.track(REQUESTS, "orders")
    columns = ("kind", "worker", "device", "function", "invocation")
    facts = actions.loc[kept, list(columns)].itertuples(index=False, name=None)
    for at, (kind, *others) in zip(at_ns[kept].tolist(), facts, strict=True):
        about = {name: number for name, number in zip(columns[1:], others, strict=True) if number >= 0}
        yield instant(REQUESTS, tid, at, text(kind), text(about))
