"""The house as it is: every module in its room, every room at its place, and the arrows between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple, TypeVar

from tests.house.floors import FLOORS, Floor, Room
from tests.house.imports import PACKAGES, imports, sources

Node = TypeVar("Node")


class Place(NamedTuple):
    """Where a room is, in numbers from below and from the left."""

    floor: int
    wing: int
    storey: int

    def may_import(self, other: Place) -> bool:
        """Whether what is here may import what is at another place."""
        return self.floor > other.floor or (self[:2] == other[:2] and self.storey > other.storey)


@dataclass(frozen=True)
class House:
    """room_of: the room of each module; n_lines: of each module; arrows: importer and imported, between modules."""

    floors: list[Floor]
    places: dict[Room, Place]
    room_of: dict[str, Room]
    n_lines: dict[str, int]
    arrows: set[tuple[str, str]]

    @property
    def room_arrows(self) -> set[tuple[Room, Room]]:
        """Importer and imported, between rooms."""
        pairs = {(self.room_of[a], self.room_of[b]) for a, b in self.arrows}
        return {(a, b) for a, b in pairs if a is not b}

    @property
    def up(self) -> list[tuple[str, str]]:
        """Arrows between modules that don't run down, sorted."""
        return sorted((a, b) for a, b in self.arrows if not self._runs_down(self.room_of[a], self.room_of[b]))

    def _runs_down(self, here: Room, there: Room) -> bool:
        return here is there or self.places[here].may_import(self.places[there])

    @property
    def circle(self) -> list[str]:
        """Modules that import each other in a circle, the first again at the end; empty without one."""
        return _circle(self.arrows)

    def size(self, room: Room) -> tuple[int, int]:
        """How many modules and lines a room has. A package that holds nothing but its docstring is no module."""
        lines = [n for module, n in self.n_lines.items() if self.room_of[module] is room and n > 1]
        return len(lines), sum(lines)


def read_house(floors: list[Floor] = FLOORS, files: Mapping[str, Path] | None = None) -> House:
    """The house of these sources, by default the project's. Raises KeyError for a module that has no room."""
    files = sources() if files is None else files
    places = {room: place for place, room in _rooms(floors)}
    room_by_name = {name: room for room in places for name in room.names}
    found = imports(files)
    return House(
        floors,
        places,
        {module: _room_of(module, room_by_name) for module in files},
        {module: len(file.read_text("utf-8").splitlines()) for module, file in files.items()},
        {(module, other) for module, others in found.items() for other in others},
    )


def direct(arrows: set[tuple[Node, Node]]) -> set[tuple[Node, Node]]:
    """The arrows that no way over a third node says already; of a graph without circles."""
    beyond: dict[Node, set[Node]] = {}
    following = _following(arrows)
    for node in TopologicalSorter(following).static_order():
        beyond[node] = {n for other in following.get(node, ()) for n in (other, *beyond[other])}
    return {(a, b) for a, b in arrows if not any(b in beyond[other] for other in following[a])}


def _rooms(floors: Iterable[Floor]) -> Iterator[tuple[Place, Room]]:
    for i, floor in enumerate(floors):
        for j, wing in enumerate(floor.wings):
            for k, storey in enumerate(wing):
                yield from ((Place(i, j, k), room) for room in storey)


def _room_of(module: str, room_by_name: Mapping[str, Room]) -> Room:
    name = module
    while name not in room_by_name or (name in PACKAGES and name != module):
        if "." not in name:
            raise KeyError(f"{module} has no room: give it one in tests/house/floors.py")
        name = name.rpartition(".")[0]
    return room_by_name[name]


def _following(arrows: Iterable[tuple[Node, Node]]) -> dict[Node, set[Node]]:
    following: dict[Node, set[Node]] = {}
    for a, b in arrows:
        following.setdefault(a, set()).add(b)
    return following


def _circle(arrows: Iterable[tuple[str, str]]) -> list[str]:
    try:
        TopologicalSorter(_following(sorted(arrows))).prepare()
    except CycleError as error:
        return [*error.args[1]]
    return []
