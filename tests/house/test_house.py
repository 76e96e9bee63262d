"""The house keeps its plan, and picture, pages and tests keep up with the house."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

from tests.house.__main__ import PAGE, PICTURE, table, told
from tests.house.floors import FLOORS, Floor, Room
from tests.house.imports import PACKAGES, ROOT, sources
from tests.house.picture import arrows, as_svg
from tests.house.plan import direct, read_house

AGAIN = "draw it again with make house"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def house():
    return read_house()


def test_a_module_imports_only_what_lies_below_it(house):
    assert not house.up, f"these run up or to a neighbour: {house.up}"


def test_no_modules_import_each_other_in_a_circle(house):
    assert not house.circle


def test_every_name_of_a_room_is_of_a_module_that_is_there(house):
    files = sources()
    names = [name for room in house.places for name in room.names]
    assert len(set(names)) == len(names)
    assert set(names) <= files.keys()
    assert all(house.size(room)[0] for room in house.places)


FOUR = [
    Floor("low", (((Room(("sim.a",), ""),), (Room(("sim.b",), ""),)), ((Room(("replay",), ""),),))),
    Floor("high", (((Room(("sim", "sim.c"), ""),),),)),
]


@pytest.fixture
def built(tmp_path):
    """Makes a house of files, by name of the module, on the floors FOUR."""

    def build(**texts):
        texts = {"sim": "", "sim.a": "", "sim.b": "", "sim.c": "", "replay": ""} | {
            name.replace("_", "."): text for name, text in texts.items()
        }
        for name, text in texts.items():
            stem = f"{name}.__init__" if name in PACKAGES else name
            file = tmp_path.joinpath(*stem.split(".")).with_suffix(".py")
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
        return read_house(FOUR, sources(tmp_path))

    return build


@pytest.mark.parametrize(
    ("module", "text", "up"),
    [
        ("sim_c", "import replay\nfrom sim import a, b", []),
        ("sim_b", "from sim.a import anything", []),
        ("sim_a", "from sim.b import anything", [("sim.a", "sim.b")]),
        ("sim_a", "from sim import c", [("sim.a", "sim.c")]),
        ("sim_b", "import replay", [("sim.b", "replay")]),
        ("replay", "import sim.a", [("replay", "sim.a")]),
        ("replay", "def late():\n    from sim.c import anything", [("replay", "sim.c")]),
        ("replay", "if TYPE_CHECKING:\n    from sim.c import Type", [("replay", "sim.c")]),
    ],
)
def test_an_import_that_runs_up_or_aside_is_found(built, module, text, up):
    house = built(**{module: text})
    assert house.up == up
    assert len(house.arrows) == text.count("import") + text.count(", ")


def test_a_circle_is_found_where_the_floors_see_none(built):
    circle = built(sim="import sim.c", sim_c="def late():\n    import sim").circle
    assert circle[0] == circle[-1]
    assert set(circle) == {"sim", "sim.c"}
    assert not built(sim="import sim.c", sim_c="").circle


def test_what_a_package_hands_out_late_is_imported_by_the_one_who_asks(built):
    face = "def __getattr__(name):\n    from sim.c import simulate\n    return simulate"
    house = built(sim=face, sim_a="from sim import simulate", sim_b="from sim import __version__")
    assert house.arrows == {("sim.a", "sim.c"), ("sim.b", "sim")}


def test_a_module_without_a_room_is_named(built):
    with pytest.raises(KeyError, match=r"sim\.new has no room"):
        built(sim_new="")


def test_only_direct_arrows_are_drawn():
    assert direct({("a", "b"), ("b", "c"), ("a", "c"), ("a", "d")}) == {("a", "b"), ("b", "c"), ("a", "d")}


def test_the_picture_shows_the_rooms_and_arrows_that_there_are(house):
    groups = {group.get("id", "") for group in ET.parse(PICTURE).iter(f"{SVG}g")}
    assert groups >= {room.name for room in house.places}, AGAIN
    assert {name for name in groups if ".." in name} == {f"{a.name}..{b.name}" for a, b in arrows(house)}, AGAIN


def test_names_and_sizes_in_the_picture_are_those_of_the_rooms(house):
    """Sizes may drift by a quarter, so that a new file needs no new picture."""
    texts = ["".join(text.itertext()).strip() for text in ET.parse(PICTURE).iter(f"{SVG}text")]
    sizes = {name: re.findall(r"\d[\d,]*", text) for name, text in pairwise(texts) if text.endswith(" lines")}
    assert sizes.keys() == {room.name for room in house.places}
    for room in house.places:
        shown = [int(number.replace(",", "")) for number in sizes[room.name]]
        assert shown == pytest.approx(house.size(room), rel=0.25, abs=2), f"{room.name}: {AGAIN}"


def test_the_picture_of_a_house_is_always_the_same(house):
    assert as_svg(house) == as_svg(read_house())


def test_the_page_has_every_floor_and_room(house):
    assert table(house) in PAGE.read_text("utf-8"), AGAIN


def test_the_command_tells_floors_rooms_and_arrows(house):
    text = told(house)
    assert all(f"\n{floor.name}\n" in f"\n{text}" for floor in FLOORS)
    assert all(f"  {room.name} " in text and room.what in text for room in house.places)
    assert f"arrows between rooms: {len(house.room_arrows)}," in text
    assert "imports that run up: none" in text


def test_the_tests_stand_as_the_code_does():
    for package in PACKAGES:
        for test in (ROOT / "tests" / package).rglob("test_*.py"):
            place = test.parent.relative_to(ROOT / "tests")
            there = (ROOT / place / "__init__.py", (ROOT / place).with_suffix(".py"))
            assert any(path.exists() for path in there), f"{test}: there is no {place}"


def test_the_map_for_contributors_has_a_place_for_every_package():
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    section = text.partition("## Where things are")[2].partition("\n## ")[0]
    named = re.findall(r"`([\w/]+/)`", " ".join(re.findall(r"^\| (`.*) \|.*\|$", section, re.MULTILINE)))
    packages = {f"{f.parent.relative_to(ROOT)}/" for f in sources().values() if f.name == "__init__.py"}
    assert len(set(named)) == len(named)
    assert packages >= set(named)
    assert all(package.startswith(tuple(named)) for package in packages)
