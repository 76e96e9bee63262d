"""Tracks of host links: what is loaded to the GPUs behind them, and copied back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from analysis import spans
from analysis.timeline.events import piece, text
from analysis.timeline.gpus import SLACK_NS, Gpus
from analysis.timeline.lanes import Ints, in_turn, lanes
from analysis.timeline.scene import Scene, ns
from analysis.timeline.thinning import Bools, merged
from analysis.timeline.tracks import Tracks


@dataclass(frozen=True)
class _Copies:
    """What went over links in one direction, or waited for it. kept: it is shown by itself."""

    begin_ns: Ints
    end_ns: Ints
    device: Ints
    function: Ints
    n_bytes: Ints
    invocation: Ints  # or -1: for the start of a worker
    kept: Bools


def copies(scene: Scene, gpus: Gpus, tracks: Tracks) -> Iterator[str]:
    """Slices of both directions of each link."""
    yield from _of("h2d", _to_devices(scene, gpus), scene, tracks)
    yield from _of("d2h", _back(scene, gpus), scene, tracks)


def _to_devices(scene: Scene, gpus: Gpus) -> _Copies:
    rows, workers = scene.invocations.iloc[gpus.ran], scene.workers
    loads = (rows["h2d_bytes"].to_numpy() > 0) & (gpus.steps_ns[:, 2] > gpus.steps_ns[:, 1])
    lasts_ns, last_ns = ns(workers["constants_s"]), ns(workers["first_run_s"])
    ready = ~np.isnan(workers["ready_at_s"].to_numpy())
    starts = (lasts_ns > 0) & ready
    if "first_run" not in spans.stages(scene.run):
        last_ns = np.zeros_like(last_ns)
    end_ns = np.maximum(gpus.life_ns[:, 1] - last_ns, gpus.life_ns[:, 0])
    begin_ns = np.maximum(end_ns - lasts_ns, gpus.life_ns[:, 0])
    return _Copies(
        np.concatenate([gpus.steps_ns[loads, 1], begin_ns[starts]]),
        np.concatenate([gpus.steps_ns[loads, 2], end_ns[starts]]),
        np.concatenate([rows["device"].to_numpy(np.int64)[loads], workers["device"].to_numpy(np.int64)[starts]]),
        np.concatenate([rows["function"].to_numpy(np.int64)[loads], workers["function"].to_numpy(np.int64)[starts]]),
        np.concatenate([rows["h2d_bytes"].to_numpy()[loads], workers["h2d_bytes"].to_numpy()[starts]]),
        np.concatenate([rows["invocation"].to_numpy()[loads], np.full(np.count_nonzero(starts), -1)]),
        np.concatenate([rows["kept"].to_numpy()[loads], workers["kept"].to_numpy()[starts]]),
    )


def _back(scene: Scene, gpus: Gpus) -> _Copies:
    rows = scene.invocations.iloc[gpus.ran]
    host_ns = ns(rows["host_s"])
    begin, end = gpus.steps_ns[:, 3], np.maximum(gpus.steps_ns[:, 4] - host_ns, gpus.steps_ns[:, 3])
    some = (rows["d2h_bytes"].to_numpy() > 0) & (end > begin) & (rows["status"] == "completed").to_numpy()
    device, function, n_bytes, invocation = (
        rows[name].to_numpy(np.int64)[some] for name in ("device", "function", "d2h_bytes", "invocation")
    )
    return _Copies(begin[some], end[some], device, function, n_bytes, invocation, rows["kept"].to_numpy()[some])


def _of(direction: str, what: _Copies, scene: Scene, tracks: Tracks) -> Iterator[str]:
    link = np.array(scene.link_of, np.int64)[what.device]
    lane = lanes(link, what.begin_ns, what.end_ns, SLACK_NS)
    n_lanes = 1 + int(lane.max(initial=0))
    place = link * n_lanes + lane
    begin_ns, end_ns = in_turn(place, what.begin_ns, what.end_ns)
    tid, pid = {}, {}
    for one in np.unique(place).tolist():
        device, its_lane = divmod(one, n_lanes)
        pid[one] = tracks.node(device)
        name = f"link {device} {direction}" + (f" lane {its_lane}" if its_lane else "")
        tid[one] = tracks.track(pid[one], name)
    names = [text(name) for name in scene.functions]
    facts = (place, begin_ns, end_ns, what.function, what.n_bytes, what.invocation)
    shown = zip(*(column[what.kept].tolist() for column in facts), strict=True)
    for one, begin, end, function, n_bytes, invocation in shown:
        args = f'{{"bytes":{n_bytes}' + (f',"invocation":{invocation}}}' if invocation >= 0 else "}")
        yield piece(pid[one], tid[one], begin, end, names[function], args)
    rest = merged(place, begin_ns, end_ns, what.kept, scene.gap_ns)
    for one, begin, end, n in zip(*(column.tolist() for column in rest), strict=True):
        yield piece(pid[one], tid[one], begin, end, f'"{n} together"', f'{{"n":{n}}}')
