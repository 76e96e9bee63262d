"""The page of the calibration's numbers is what the file says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sim.models.sources import as_markdown, entries

PAGE = Path(__file__).parents[3] / "docs" / "calibration-v100.md"
KINDS = ("measured", "derived", "data sheet", "assumed")


def test_the_page_has_every_number_of_the_file_and_no_other():
    table = PAGE.read_text("utf-8").partition("## All numbers")[2].partition("\n| key")
    assert "".join(table[1:]).strip() == as_markdown(entries("v100-kaas")), "see the command on the page"


def test_every_source_says_of_what_kind_it_is():
    for entry in entries("v100-kaas"):
        assert entry.source.startswith(KINDS), entry.key
        assert "|" not in entry.source, entry.key


def test_what_the_page_says_fixes_a_number_is_a_number():
    told = PAGE.read_text("utf-8").partition("## All numbers")[0]
    keys = {part for entry in entries("v100-kaas") for part in entry.key.split(".")}
    named = {n for row in re.findall(r"^\|.*\| (.*) \|$", told, re.MULTILINE) for n in re.findall(r"`(\w+)`", row)}
    assert named
    assert named <= keys | {"testModel"}, sorted(named - keys)


@pytest.mark.parametrize(
    ("key", "unit"),
    [
        ("copies.h2d_bytes_per_s", "B/s"),
        ("dispatch_s.kaas", "s"),
        ("startup_s.kill_release", "s"),
        ("graphs.bert.kaas.memory_bytes", "B"),
        ("roofline.bandwidth_frac", "share"),
        ("roofline.flops_per_s", "1/s"),
        ("frontend.cores", ""),
        ("executor.keeps_headroom", ""),
    ],
)
def test_units_are_told_from_names(key, unit):
    assert {entry.key: entry.unit for entry in entries("v100-kaas")}[key] == unit
