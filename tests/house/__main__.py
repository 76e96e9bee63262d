"""Draw the house and print it. Ends with 1 when an import runs up or in a circle."""

from __future__ import annotations

import sys

from tests.house.imports import ROOT
from tests.house.picture import arrows, as_svg
from tests.house.plan import House, read_house

PICTURE = ROOT / "docs" / "design" / "house.svg"


def told(house: House) -> str:
    """Floors from the top with their rooms, then what there is of arrows."""
    lines = []
    for i, floor in reversed([*enumerate(house.floors)]):
        lines.append(floor.name)
        for room in (room for room, place in house.places.items() if place.floor == i):
            n_modules, n_lines = house.size(room)
            lines.append(f"  {room.name:<26} {n_modules:>3} modules {n_lines:>6,} lines  {room.what}")
    lines.append(f"rooms: {len(house.places)}")
    lines.append(f"arrows between rooms: {len(house.room_arrows)}, of which {len(arrows(house))} are drawn")
    lines.append(f"imports that run up: {', '.join(f'{a} -> {b}' for a, b in house.up) or 'none'}")
    lines.append(f"circles: {' -> '.join(house.circle) or 'none'}")
    return "\n".join(lines)


def main() -> None:
    """The command."""
    house = read_house()
    PICTURE.write_text(as_svg(house), "utf-8")
    print(told(house))
    sys.exit(bool(house.up or house.circle))


if __name__ == "__main__":
    main()
