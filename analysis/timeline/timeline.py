"""A run as a file that Perfetto opens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.timeline import copies, gpus, requests
from analysis.timeline.events import write
from analysis.timeline.scene import Scene, scene
from analysis.timeline.tracks import REQUESTS, Tracks
from sim.records.tables import ACTIONS, RESIDENCY

if TYPE_CHECKING:
    import pandas as pd

    from sim.records.results import Run


def write_timeline(run: Run, file: Path, window_s: tuple[float, float] | None = None) -> dict[str, Any]:
    """Write what happened in a run, or in a window of it: what was there at any instant of that.

    Returns what the file tells about itself: run, window, and in sentences what is not shown by itself. Raises RunError
    for a table that can't be read or a window without anything, and OutputError where the file can't be written.
    """
    drawn = scene(run, window_s)
    about = {
        "run": run.label,
        "world": run.manifest.get("world"),
        "window_s": list(window_s) if window_s else None,
        "invocations": len(drawn.invocations),
        "thinned": drawn.thinned(),
    }
    write(file, about, _events(run, drawn))
    return about


def _events(run: Run, drawn: Scene) -> Iterator[str]:
    tracks = Tracks(drawn.node_of)
    for name in ("arrivals", "ends"):
        tracks.track(REQUESTS, name)
    placed = gpus.lay_out(drawn, tracks)
    stays, actions = _optional(run, RESIDENCY.name), _optional(run, ACTIONS.name)
    yield from gpus.lives(drawn, placed)
    yield from gpus.runs(drawn, placed)
    yield from gpus.others(drawn, placed)
    yield from copies.copies(drawn, placed, tracks)
    yield from requests.ends(drawn, placed, tracks)
    yield from requests.evictions(drawn, placed, stays)
    if actions is not None:
        yield from requests.orders(drawn, tracks, actions)
    yield from requests.counters(drawn, tracks, stays)
    yield from tracks.names(range(len(drawn.node_of)))


def _optional(run: Run, name: str) -> pd.DataFrame | None:
    return run.table(name) if (run.path / f"{name}.parquet").exists() else None
