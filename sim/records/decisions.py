"""The decision log of a run: every event that a policy was told, and what it answered, one JSON object a line.

``{"now_s": 0.25, "event": ["Arrival", {"invocation": 0, "function": 3}], "actions": [["Run", {...}], ...]}``; names
and fields are those of ``sim.protocol``; fields at their defaults are left out, and null is an infinite instant.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import IO, Any

from sim.dispatcher import Dispatcher
from sim.errors import RunError
from sim.files.output import create
from sim.protocol import ACTIONS, EVENTS, Action, DeviceChanged, Event, Slot, Wake, said

FILE_NAME = "decisions.jsonl"
_BUFFER_BYTES = 1 << 20  # in a replay, writing is not to make arrivals late


class DecisionLog:
    """Writes a log; an instance is what ``sim.dispatcher.Dispatcher`` takes as ``log``."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def __call__(self, now_s: float, event: Event, actions: Sequence[Action]) -> None:
        entry = {"now_s": now_s, "event": _plain(event), "actions": [_plain(a) for a in actions]}
        self._file.write(json.dumps(entry) + "\n")


@contextmanager
def decision_log(directory: Path) -> Iterator[DecisionLog]:
    """A log in the directory of a run in the making."""
    with io.TextIOWrapper(create(directory / FILE_NAME, _BUFFER_BYTES), "utf-8") as file:
        yield DecisionLog(file)


def read_decisions(file: Path) -> Iterator[tuple[float, Event, list[Action]]]:
    """The entries of a log, in order. Raises RunError for a line that is none."""
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                entry = json.loads(line)
                yield entry["now_s"], _record(entry["event"], EVENTS), [_record(a, ACTIONS) for a in entry["actions"]]
            except (ValueError, KeyError, TypeError):
                raise RunError(f"{file}, line {number}: {line.strip()[:80]!r} is no entry of a decision log") from None


def check_decisions(entries: Iterable[tuple[float, Event, list[Action]]], dispatcher: Dispatcher) -> int:
    """Tell a fresh dispatcher the events of a log again; returns how many.

    Raises RunError at the first event to which its policy answers otherwise: then it is no pure function of what
    it was told.
    """
    number = 0
    for number, (now_s, event, logged) in enumerate(entries, 1):
        answered = list(dispatcher.report(now_s, event))
        if answered != logged:
            raise RunError(f"decision {number}, {event} at {now_s} s: logged {logged}, now answered {answered}")
    return number


def _plain(record: Event | Action) -> list[Any]:
    values = {name: None if value == inf else value for name, value in said(record).items()}  # JSON has no infinity
    return [type(record).__name__, values]


def _record(plain: list[Any], kinds: Mapping[str, type]) -> Any:
    name, values = plain
    made = kinds[name](**{key: tuple(v) if isinstance(v, list) else v for key, v in values.items()})
    if isinstance(made, Wake) and made.at_s is None:
        made.at_s = inf
    elif isinstance(made, DeviceChanged):
        made.slots = tuple(Slot(*slot) for slot in made.slots)
    return made
