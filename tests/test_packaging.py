"""What is installed and shipped: packages, types, versions."""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path

import pytest
import yaml

import sim

ROOT = Path(__file__).parents[1]
PACKAGES = ("sim", "replay", "traces", "analysis")


@pytest.fixture(scope="module")
def setup():
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg", "utf-8")
    return parser


def test_every_package_is_listed(setup):
    there = {file.parent for top in PACKAGES for file in (ROOT / top).rglob("__init__.py")}
    assert set(setup["options"]["packages"].split()) == {".".join(p.relative_to(ROOT).parts) for p in there}


@pytest.mark.parametrize("package", PACKAGES)
def test_type_checkers_may_read_the_annotations(package):
    assert (ROOT / package / "py.typed").exists()


def test_the_lowest_versions_that_are_tested_are_those_that_are_allowed(setup):
    wanted = [*setup["options"]["install_requires"].split(), *setup["options.extras_require"]["test"].split()]
    lowest = dict(re.match(r"([\w-]+)>=([\d.]+)", line).groups() for line in wanted if ">=" in line)
    text = (ROOT / "tests" / "constraints-lowest.txt").read_text("utf-8")
    tested = dict(re.findall(r"^([\w-]+)==([\d.]+)$", text, re.MULTILINE))
    assert lowest.keys() - tested.keys() == {"ruff", "mypy", "types-PyYAML", "pandas-stubs", "nvidia-cuda-nvrtc-cu12"}
    for name, version in tested.items():
        assert re.fullmatch(rf"{re.escape(lowest[name])}(\.0)*", version), name


def test_the_citation_is_of_this_version():
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))["version"] == sim.__version__
