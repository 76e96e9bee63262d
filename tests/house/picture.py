"""The house as a picture: floors from the ground up, rooms as boxes, and who leans directly on whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path as Curve

from tests.house.floors import Floor, Room
from tests.house.plan import House, direct

_WIDTH_IN, _LEFT_IN = 14.0, 1.05  # of the house; the names of its floors stand left of it
_BOX_IN, _ROW_IN, _BETWEEN_IN = 0.46, 0.74, 0.16  # height of a box and of a storey; between floors
_WIDEST_IN, _GAP_IN = 1.9, 0.14  # of a box, and between two
_COLOURS = {"sim": "#2f6690", "replay": "#b5541c", "traces": "#3f7d3a", "analysis": "#7a4a86"}
_GREY = "#555555"
_STYLE = {
    "svg.hashsalt": "house",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana"],
}


@dataclass(frozen=True)
class _Box:
    """In inches; x of its middle, y of its foot."""

    x: float
    y: float
    width: float


def as_svg(house: House) -> str:
    """The picture as SVG: the same text for the same house."""
    with rc_context(_STYLE), StringIO() as text:
        figure = draw(house)
        FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None, "Creator": None})
        lines = text.getvalue().splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n"


def draw(house: House) -> Figure:
    """The picture as a figure. Groups are named after what they show, an arrow ``importer..imported``."""
    shown = arrows(house)
    feet = [0.0]
    boxes: dict[Room, _Box] = {}
    for floor in house.floors:
        boxes |= _side_by_side(floor, feet[-1]) if len(floor.wings) > 1 else _stacked(floor, feet[-1], boxes, shown)
        feet.append(feet[-1] + _height(floor) + _BETWEEN_IN)
    height = feet[-1] - _BETWEEN_IN
    figure = Figure(figsize=(_LEFT_IN + _WIDTH_IN, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-_LEFT_IN, _WIDTH_IN), ylim=(0, height))
    axes.set_axis_off()
    for floor, foot in zip(house.floors, feet, strict=False):
        _draw_floor(axes, floor, foot)
    _draw_arrows(axes, boxes, shown)
    for room, box in boxes.items():
        _draw_room(axes, room, box, *house.size(room))
    return figure


def arrows(house: House) -> set[tuple[Room, Room]]:
    """The arrows that are drawn: those no way over a third room says already; none to the ground, where all stand."""
    return {(a, b) for a, b in direct(house.room_arrows) if house.places[b].floor > 0 or house.places[a].floor == 0}


def _height(floor: Floor) -> float:
    return _ROW_IN * max(map(len, floor.wings))


def _side_by_side(floor: Floor, foot: float) -> dict[Room, _Box]:
    """Boxes of several wings, each as wide as its fullest storey asks for."""
    widths = [max(map(len, wing)) for wing in floor.wings]
    unit = _WIDTH_IN / sum(widths)
    boxes = {}
    for i, wing in enumerate(floor.wings):
        for k, storey in enumerate(wing):
            share = unit * widths[i] / len(storey)
            for j, room in enumerate(storey):
                x = unit * sum(widths[:i]) + share * (j + 0.5)
                boxes[room] = _Box(x, _foot(foot, k), min(share - _GAP_IN, _WIDEST_IN))
    return boxes


def _stacked(floor: Floor, foot: float, below: Mapping[Room, _Box], shown: set[tuple[Room, Room]]) -> dict[Room, _Box]:
    """Boxes of one wing, each above the middle of what it leans on, as far as its neighbours let it."""
    boxes: dict[Room, _Box] = {}
    for k, storey in enumerate(floor.wings[0]):
        known = {**below, **boxes}
        leans_on = {room: [known[b].x for a, b in shown if a is room] or [_WIDTH_IN / 2] for room in storey}
        wanted = {room: sum(x) / len(x) for room, x in leans_on.items()}
        step = _WIDEST_IN + _GAP_IN
        x = -step
        ordered = sorted(storey, key=lambda room: wanted[room])
        for n_after, room in zip(reversed(range(len(ordered))), ordered, strict=True):
            x = max(x + step, min(wanted[room], _WIDTH_IN - step * (n_after + 0.5)), step / 2)
            boxes[room] = _Box(x, _foot(foot, k), _WIDEST_IN)
    return boxes


def _foot(foot: float, storey: int) -> float:
    return foot + _ROW_IN * storey + (_ROW_IN - _BOX_IN) / 2


def _draw_floor(axes: Axes, floor: Floor, foot: float) -> None:
    height = _height(floor)
    axes.add_patch(_rounded(0, foot, _WIDTH_IN, height, 0.1, facecolor="#f3f2ee", edgecolor="none", zorder=0))
    name = floor.name.replace(" and ", "\nand ")
    axes.text(-0.12, foot + height / 2, name, ha="right", va="center", fontsize=9, color=_GREY)


def _draw_room(axes: Axes, room: Room, box: _Box, n_modules: int, n_lines: int) -> None:
    colour = _COLOURS[room.name.partition(".")[0]]
    patch = _rounded(box.x - box.width / 2, box.y, box.width, _BOX_IN, 0.06, facecolor="white", edgecolor=colour)
    patch.set_gid(room.name)
    axes.add_patch(patch)
    size = min(9.0, (72 * box.width - 8) / (0.66 * len(room.name)))
    middle = {"ha": "center", "va": "center", "zorder": 3}
    axes.text(box.x, box.y + 0.64 * _BOX_IN, room.name, fontsize=size, color=colour, weight="bold", **middle)
    modules = f"{n_modules} module{'s' if n_modules > 1 else ''}, {n_lines:,} lines"
    axes.text(box.x, box.y + 0.26 * _BOX_IN, modules, fontsize=7, color=_GREY, **middle)


def _draw_arrows(axes: Axes, boxes: Mapping[Room, _Box], shown: set[tuple[Room, Room]]) -> None:
    """Curves from the foot of one box to the head of another, side by side in the order of where they lead.

    An arrow that has storeys to pass and leads to the left or right leaves by that side.
    """
    aside = {
        (a, b)
        for a, b in shown
        if boxes[a].y - boxes[b].y > 1.6 * _ROW_IN and abs(boxes[a].x - boxes[b].x) > boxes[a].width / 2
    }
    for a, b in sorted(shown, key=lambda arrow: (arrow[0].name, arrow[1].name)):
        start, end = boxes[a], boxes[b]
        x1, y1 = _along(end, _rank(a, [x for x, y in shown if y is b], boxes)), end.y + _BOX_IN
        if (a, b) in aside:
            side = 1 if x1 >= start.x else -1
            x0, y0 = start.x + side * start.width / 2, start.y + _BOX_IN / 2
            out = (x0 + side * 0.35, y0)
        else:
            down = [y for x, y in shown - aside if x is a]
            x0, y0 = _along(start, _rank(b, down, boxes)), start.y
            out = (x0, (y0 + y1) / 2)
        curve = Curve(
            [(x0, y0), out, (x1, y1 + max(0.15, 0.4 * (y0 - y1))), (x1, y1)], [Curve.MOVETO, *[Curve.CURVE4] * 3]
        )
        colour = _COLOURS[a.name.partition(".")[0]]
        patch = PathPatch(curve, facecolor="none", edgecolor=colour, linewidth=0.8, alpha=0.6, zorder=1)
        patch.set_gid(f"{a.name}..{b.name}")
        axes.add_patch(patch)
        axes.plot(x1, y1, marker="v", markersize=4, color=colour, markeredgewidth=0, alpha=0.8, zorder=1.5)


def _rank(room: Room, rooms: list[Room], boxes: Mapping[Room, _Box]) -> float:
    """Where among rooms one stands, from left to right, as a part of 1."""
    return (sorted(rooms, key=lambda r: (boxes[r].x, r.name)).index(room) + 0.5) / len(rooms)


def _along(box: _Box, part: float) -> float:
    return box.x + 0.8 * box.width * (part - 0.5)


def _rounded(x: float, y: float, width: float, height: float, radius: float, **style: Any) -> FancyBboxPatch:
    box = f"round,pad=0,rounding_size={radius}"
    return FancyBboxPatch((x, y), width, height, boxstyle=box, **{"zorder": 2, **style})
