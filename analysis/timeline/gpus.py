"""Tracks of GPUs: the lives of workers, the stages of their starts, and what they run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from analysis import spans
from analysis.timeline.events import piece, text
from analysis.timeline.lanes import Ints, in_turn, lanes
from analysis.timeline.scene import Scene, ns
from analysis.timeline.thinning import merged
from analysis.timeline.tracks import Tracks

SLACK_NS = 1_000  # by which instants of two processes, or rounded ones, may overlap
_LOADED = ("h2d_bytes", "constant_bytes", "d2h_bytes", "n_evicted", "batch", "attempt")


@dataclass(frozen=True)
class Gpus:
    """Where everything is. life_ns: (begin, climbed, end) of each worker of the scene, (workers, 3). steps_ns: of each
    invocation that began on a device, ``ran`` of the scene's: with its worker, started, kernels, store, left, (n, 5).
    home, track: the track of each worker, and of each of these invocations; process: that of theirs."""

    life_ns: Ints
    ran: Ints
    steps_ns: Ints
    home: Ints
    track: Ints
    process: Ints
    owner: Ints


def lay_out(scene: Scene, tracks: Tracks) -> Gpus:
    """Give everything a track. Workers of a GPU that are there at once have slots side by side; what a worker runs
    at once has lanes."""
    workers = scene.workers
    life_ns = np.stack([ns(workers[name]) for name in ("begun_at_s", "climbed_at_s", "over_at_s")], axis=1)
    life_ns = np.clip(life_ns, *scene.span_ns)
    device = workers["device"].to_numpy(np.int64)
    slot = lanes(device, life_ns[:, 0], life_ns[:, 2], SLACK_NS)
    n_slots = 1 + int(slot.max(initial=0))
    begin, end = in_turn(device * n_slots + slot, life_ns[:, 0], life_ns[:, 2])
    life_ns = np.stack([begin, np.clip(life_ns[:, 1], begin, end), end], axis=1)

    rows = scene.invocations
    owner = np.searchsorted(workers["worker"].to_numpy(), rows["worker"].to_numpy())
    began = ~np.isnan(rows["started_at_s"].to_numpy()) & (rows["worker"].to_numpy() >= 0)
    ran = np.flatnonzero(began)
    owner = owner[ran]
    columns = ("dispatch_at_s", "started_at_s", "kernels_at_s", "store_at_s", "left_at_s")
    steps_ns = np.stack([ns(rows[name].to_numpy()[ran]) for name in columns], axis=1)
    steps_ns = np.clip(steps_ns, life_ns[owner, 1][:, None], life_ns[owner, 2][:, None])
    lane = lanes(owner, steps_ns[:, 0], steps_ns[:, 4], SLACK_NS)
    n_lanes = 1 + int(lane.max(initial=0))

    first_place = (device * n_slots + slot) * n_lanes
    place = first_place[owner] + lane
    begin, end = in_turn(place, steps_ns[:, 0], steps_ns[:, 4])
    steps_ns = np.clip(steps_ns, begin[:, None], end[:, None])
    number = {}
    for one in np.unique(np.concatenate([first_place, place])).tolist():
        whole, its_lane = divmod(one, n_lanes)
        its_device, its_slot = divmod(whole, n_slots)
        name = f"GPU {its_device}" + (f" slot {its_slot}" if n_slots > 1 else "")
        name += f" lane {its_lane}" if its_lane else ""
        number[one] = tracks.track(tracks.node(its_device), name)
    process = np.array([tracks.node(d) for d in range(len(scene.node_of))])[device]
    home = np.array([number[one] for one in first_place.tolist()], np.int64)
    track = np.array([number[one] for one in place.tolist()], np.int64)
    return Gpus(life_ns, ran, steps_ns, home, track, process, owner)


def lives(scene: Scene, gpus: Gpus) -> Iterator[str]:
    """Slices of workers, and in them the stages of their starts."""
    workers = scene.workers
    stages_ns = {name: ns(workers[f"{name}_s"]) for name in spans.stages(scene.run)}
    names = {name: text(name) for name in (*stages_ns, "starting")}
    ready = ~np.isnan(workers["ready_at_s"].to_numpy())
    facts = zip(workers["worker"], workers["kind"], workers["function"], workers["profile"], strict=True)
    for index, (number, kind, function, profile) in enumerate(facts):
        if not workers["kept"].iat[index]:
            continue
        begin, climbed, end = gpus.life_ns[index].tolist()
        pid, tid = int(gpus.process[index]), int(gpus.home[index])
        name = f"worker {number}" + (f" of {scene.functions[function]}" if function >= 0 else "")
        more = {"profile": profile} if profile else {}
        yield piece(pid, tid, begin, end, text(name), text({"worker": number, "kind": kind, **more}))
        if not ready[index]:
            yield piece(pid, tid, begin, end, names["starting"])
            continue
        for stage, lasts_ns in stages_ns.items():
            until = min(begin + int(lasts_ns[index]), climbed)
            if until > begin:
                yield piece(pid, tid, begin, until, names[stage])
            begin = until


def runs(scene: Scene, gpus: Gpus) -> Iterator[str]:
    """Slices of invocations, and in them their steps."""
    rows = scene.invocations.iloc[gpus.ran]
    kept = rows["kept"].to_numpy()
    functions = [text(name) for name in scene.functions]
    graphs = [text(name) for name in scene.run.table("functions", ["graph"])["graph"]]
    facts = rows[["invocation", "function", "status", "cold", *_LOADED]].itertuples(index=False, name=None)
    latency_ms = ((rows["over_at_s"] - rows["arrival_at_s"]) * 1e3).tolist()
    for index, (invocation, function, status, cold, *loaded) in enumerate(facts):
        if not kept[index]:
            continue
        pid, tid = int(gpus.process[gpus.owner[index]]), int(gpus.track[index])
        begin, started, kernels, store, left = gpus.steps_ns[index].tolist()
        args = (
            f'{{"invocation":{invocation},"status":"{status}","cold":{"true" if cold else "false"},'
            f'"latency_ms":{latency_ms[index]:.6g}'
            + "".join(f',"{name}":{value}' for name, value in zip(_LOADED, loaded, strict=True))
            + "}"
        )
        yield piece(pid, tid, begin, left, functions[function], args)
        for name, one, other in (
            ('"dispatch"', begin, started),
            ('"load"', started, kernels),
            (graphs[function], kernels, store),
            ('"copy back"', store, left),
        ):
            if other > one and status == "completed":
                yield piece(pid, tid, one, other, name)


def others(scene: Scene, gpus: Gpus) -> Iterator[str]:
    """Slices of what is not shown by itself: starts, and invocations, as many together as follow each other."""
    apart_worker = scene.workers["kept"].to_numpy()
    apart = np.concatenate([scene.invocations["kept"].to_numpy()[gpus.ran], apart_worker])
    if apart.all():
        return
    owner = np.concatenate([gpus.owner, np.arange(len(apart_worker))])
    track = np.concatenate([gpus.track, gpus.home])
    within = track * (len(apart_worker) + 1) + np.where(apart_worker[owner], owner + 1, 0)
    begin = np.concatenate([gpus.steps_ns[:, 0], gpus.life_ns[:, 0]])
    end = np.concatenate([gpus.steps_ns[:, 4], gpus.life_ns[:, 1]])
    process = dict(zip(gpus.track.tolist(), gpus.process[gpus.owner].tolist(), strict=True))
    process |= dict(zip(gpus.home.tolist(), gpus.process.tolist(), strict=True))
    for where, from_ns, to_ns, n in zip(
        *(column.tolist() for column in merged(within, begin, end, apart, scene.gap_ns)), strict=True
    ):
        tid = where // (len(apart_worker) + 1)
        yield piece(process[tid], tid, from_ns, to_ns, f'"{n} together"', f'{{"n":{n}}}')
