"""The pages of the documentation, taken apart: fenced blocks, commands, links, headings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!-- (\w[\w ]*): (.*?) -->\s*$")
_FILE = re.compile(r"# ([\w-]+\.\w+)\n")


@dataclass(frozen=True)
class Block:
    """A fenced block. file: the name that its first line or a comment before it gives it; skipped: why not run."""

    language: str
    text: str
    file: str | None
    skipped: str | None

    @property
    def commands(self) -> list[list[str]]:
        """The commands of a shell block as lists of words, without redirections."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [words for line in lines if (words := shlex.split(line.partition(" > ")[0], comments=True))]


def name(page: Path) -> str:
    """The page's path in the repository."""
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks in order. ``<!-- file: NAME -->`` and ``<!-- not run: WHY -->`` may stand before one."""
    text = page.read_text("utf-8")
    for match in _FENCE.finditer(text):
        language, body = match.groups()
        comment = _COMMENT.search(text, 0, match.start())
        said = {comment[1]: comment[2]} if comment else {}
        first = _FILE.match(body)
        yield Block(language, body, first[1] if first else said.get("file"), said.get("not run"))


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", page.read_text("utf-8"))


def links(page: Path) -> list[str]:
    """Targets of links and images, as written."""
    return re.findall(r"\]\(([^)\s]+)\)", prose(page))


def anchors(page: Path) -> list[str]:
    """Anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings]
