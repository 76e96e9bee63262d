"""Draw the house, list its rooms in its page, and print both. Ends with 1 when an import runs up or in a circle."""

from __future__ import annotations

import re
import sys

from tests.house.imports import ROOT, sources
from tests.house.picture import arrows, as_svg
from tests.house.plan import House, read_house

PICTURE = ROOT / "docs" / "design" / "house.svg"
PAGE = ROOT / "docs" / "design" / "house.md"


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


def table(house: House) -> str:
    """The rooms for the page, the highest floor first. Of names after a room's first only the last part is told."""
    files = sources()
    rows = ["| floor | rooms | what is there |", "|---|---|---|"]
    for i, floor in reversed([*enumerate(house.floors)]):
        name = f" {floor.name}"
        for room in (room for room, place in house.places.items() if place.floor == i):
            others = [n.rpartition(".")[2] for n in room.names[1:] if files[n].name != "__init__.py"]
            names = f"`{room.name}`" + (f" with `{'`, `'.join(others)}`" if others else "")
            rows.append(f"|{name} | {names} | {room.what} |")
            name = ""
    return "\n".join(rows) + "\n"


def main() -> None:
    """The command."""
    house = read_house()
    PICTURE.write_text(as_svg(house), "utf-8")
    page = PAGE.read_text("utf-8")
    PAGE.write_text(re.sub(r"^\| floor .*?^(?!\|)", table(house), page, flags=re.DOTALL | re.MULTILINE), "utf-8")
    print(told(house))
    sys.exit(bool(house.up or house.circle))


if __name__ == "__main__":
    main()
