"""What must hold of every timeline, whatever the run."""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

PHASES = {"X", "i", "s", "t", "f", "C", "M"}


def read(file: Path) -> dict[str, Any]:
    """The JSON of a file, with exact instants."""
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        found: dict[str, Any] = json.load(lines, parse_float=Decimal)
    return found


def of(trace: dict[str, Any], phase: str) -> list[dict[str, Any]]:
    """Its events of a kind."""
    return [event for event in trace["traceEvents"] if event["ph"] == phase]


def check(trace: dict[str, Any]) -> None:
    """Known kinds of events, on named tracks, in time; slices that nest; whole arrows; counters of at least 0."""
    events = trace["traceEvents"]
    assert {event["ph"] for event in events} <= PHASES
    assert all(event["ts"] >= 0 for event in events if event["ph"] != "M")
    named = {(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name"}
    assert {(e["pid"], e["tid"]) for e in events if "tid" in e} == named
    assert len({tid for _, tid in named}) == len(named)
    assert {e["pid"] for e in events} == {e["pid"] for e in events if e["name"] == "process_name"}
    nest(trace)
    points = defaultdict(list)
    for event in events:
        if event["ph"] in "stf":
            points[event["id"]].append((event["ts"], "stf".index(event["ph"])))
    for those in points.values():
        assert Counter(kind for _, kind in those) in ({0: 1, 1: 1, 2: 1}, {0: 1, 2: 1})
        assert sorted(those) == sorted(those, key=lambda point: point[1])
    assert all(event["args"]["value"] >= 0 for event in of(trace, "C"))


def nest(trace: dict[str, Any]) -> None:
    """Of two slices on a track one holds the other, or they are apart."""
    tracks = defaultdict(list)
    for event in of(trace, "X"):
        assert event["dur"] >= 0
        tracks[event["tid"]].append((event["ts"], -event["dur"], event["name"]))
    for slices in tracks.values():
        open_until: list[Decimal] = []
        for begin, minus_lasts, name in sorted(slices):
            while open_until and open_until[-1] <= begin:
                open_until.pop()
            end = begin - minus_lasts
            assert not open_until or end <= open_until[-1], (name, begin)
            open_until.append(end)
