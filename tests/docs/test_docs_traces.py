"""The page of trace formats: its examples are read, and it names every format and every rule."""

import re

import pytest

from tests.docs.pages import ROOT, blocks, prose
from traces.anomalies import RULES
from traces.open import FORMATS, open_trace

PAGE = ROOT / "docs" / "traces.md"
TOTAL = re.compile(r"In all: (\d+) invocations? of (\d+) functions?")


def sections():
    """Text of each section on a format, by its name."""
    _, *parts = re.split(r"^## ", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    return {name: text for name, _, text in (part.partition("\n") for part in parts) if name in FORMATS}


def expanded(text):
    """A table of which the minutes that ``...`` stands for are written out, without invocations."""
    header, *rows = text.splitlines()
    start, dots, end = header.partition(",...,")
    if not dots:
        return text
    missing = range(int(start.rpartition(",")[2]) + 1, int(end))
    lines = [header.replace("...", ",".join(map(str, missing)))]
    lines += [row.replace("...", ",".join("0" for _ in missing)) for row in rows]
    return "\n".join(lines) + "\n"


def test_every_format_has_its_section_and_line_in_order():
    assert list(sections()) == list(FORMATS)
    assert re.findall(r"^\| `([\w-]+)` \| \w.*\|$", prose(PAGE), re.MULTILINE)[: len(FORMATS)] == list(FORMATS)


@pytest.mark.parametrize("name", FORMATS)
def test_the_example_is_read_as_its_format(name, tmp_path):
    section = sections()[name]
    files = {tmp_path / b.file: expanded(b.text) for b in blocks(PAGE) if b.file and b.text in section}
    for file, text in files.items():
        file.write_text(text)
    (told,) = TOTAL.findall(section)
    trace = open_trace(list(files))
    assert trace.source.format == name
    assert (sum(len(c.at_s) for c in trace.chunks()), len(trace.functions)) == tuple(map(int, told))


def test_the_page_has_every_rule_and_no_other():
    named = re.findall(r"\(((?:`\w+_\w+`(?:, )?)+)\)", prose(PAGE))
    assert {rule for group in named for rule in re.findall(r"\w+", group)} == set(RULES)
