"""An attack, how often it was tried, and what must hold each time."""

from __future__ import annotations

import random
import re
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from click.testing import CliRunner

from sim.text import printable
from tests.docs.commands import MAIN

PATIENCE_S = 300  # for one attempt, which takes well under a second: longer is a hang
SENTENCE = 3_000  # characters of an error; the longest lists the columns of all formats

NASTY = [
    *(
        "",
        " ",
        "-1",
        "0",
        "-0",
        "nan",
        ".nan",
        "inf",
        "1e308",
        "1e400",
        "1e-320",
        "1e30",
        "9" * 5_000,
        "1e999999",
        "0x10",
    ),
    *("4294967296", "1_000", "٣", "null", "true", "~", "'", '"', "a" * 300, "../x", "/proc/kmsg", "/dev/zero", "/proc"),
    *("[", "]", "{", "}", "[[[[", "&a", "*a", "<<: *a", "- ", ": ", "? ", "!!python/name:os.system", "!!binary x", "|"),
    *("2023-99-99", "0001-01-01", "\0", "\x1b[31m", "\x9b2J", "\u202e", "\r\n", "\\ud800", "%s%n", "{0}", "--", "-h"),
]
NUMBERS = b"0 1 2 3 7 0.5 -1 1e-18 1e-9 1e-6 1e6 1e9 1e15 1e18 1000 4096 2147483648 9007199254740993".split()


@dataclass(frozen=True)
class Attack:
    """attempt: one try, drawn from the generator, in an empty directory; returns what came of it, for the counts, or
    raises AssertionError where something didn't hold. share: of the time of all attacks."""

    name: str
    attempt: Callable[[random.Random, Path], str]
    share: float = 1.0


def campaign(attack: Attack, seed: int, *, attempts: Sequence[int] | None = None, seconds: float = 0.0) -> Counter[str]:
    """Try it: those attempts, or as many as begin in so many seconds; returns how many ended in which way.

    An attempt that fails is named, and can be tried again alone: it depends on nothing but seed and number.
    """
    outcomes: Counter[str] = Counter()
    end_s = time.monotonic() + seconds
    for number in attempts if attempts is not None else _count_until(end_s):
        folder = Path(tempfile.mkdtemp(prefix="abuse-"))
        try:
            with _watchdog():
                outcomes[attack.attempt(random.Random(f"{attack.name}/{seed}/{number}"), folder)] += 1
        except Exception as error:
            again = f"python -m tests.abuse --attack {attack.name} --seed {seed} --attempt {number}"
            raise AssertionError(f"{error or type(error).__name__}\nagain: {again}") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return outcomes


def run(words: Sequence[str | Path]) -> str:
    """Run a command in this process, and check how it ends; returns "done", "invalid" or "refused"."""
    name, *arguments = map(str, words)
    result = CliRunner().invoke(MAIN[name], arguments)
    check_end(result.exit_code, result.stdout, result.stderr, result.exception)
    return {0: "done", 1: "invalid", 2: "refused"}[result.exit_code]


def check_end(status: int, printed: str, complaint: str, error: BaseException | None = None) -> None:
    """What holds of every command: a known status, an error in one sentence, and nothing that a terminal obeys."""
    assert error is None or isinstance(error, SystemExit), f"a traceback of {type(error).__name__}: {error}"
    assert "Traceback" not in complaint, complaint
    assert status in (0, 1, 2), status
    assert printable(printed) == printed, printed
    assert printable(complaint) == complaint, complaint
    if status == 2:
        assert re.search(r"^Error: .", complaint, re.MULTILINE), complaint
        assert len(complaint) < SENTENCE, complaint


def mangle(rng: random.Random, content: bytes) -> bytes:
    """Content with a few changes: of numbers, of bytes, of words, of lines; perhaps cut."""
    changes = rng.choice([[_of_numbers], [_of_words], [_of_bytes, _of_words, _of_lines, _of_numbers]])
    for _ in range(rng.choice([1, 1, 2, 4])):
        content = rng.choice(changes)(rng, content)
    return content[: rng.randrange(len(content) + 1)] if rng.random() < 0.05 else content


def nasty(rng: random.Random) -> str:
    """A value that has broken programs."""
    return rng.choice(NASTY)


def _of_numbers(rng: random.Random, content: bytes) -> bytes:
    """Another number in place of one: what is wrong with it, no parser sees."""
    numbers = list(re.finditer(rb"(?<![\w.])\d[\d.e+-]*", content))
    if not numbers:
        return content
    number = rng.choice(numbers)
    return content[: number.start()] + rng.choice(NUMBERS) + content[number.end() :]


def _of_bytes(rng: random.Random, content: bytes) -> bytes:
    at = rng.randrange(len(content) + 1)
    return content[:at] + rng.randbytes(rng.randint(0, 3)) + content[at + rng.randint(0, 3) :]


def _of_words(rng: random.Random, content: bytes) -> bytes:
    words = list(re.finditer(rb"[\w.+-]+", content))
    if not words:
        return content
    word = rng.choice(words)
    new = rng.choice(words)[0] if rng.random() < 0.3 else nasty(rng).encode(errors="surrogatepass")
    return content[: word.start()] + new + content[word.end() :]


def _of_lines(rng: random.Random, content: bytes) -> bytes:
    lines = content.splitlines(keepends=True) or [b""]
    at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    if rng.random() < 0.5:
        lines.insert(other, lines[at])
    else:
        del lines[at]
    return b"".join(lines)


def _count_until(end_s: float) -> Iterator[int]:
    number = 0
    while time.monotonic() < end_s:
        yield number
        number += 1


@contextmanager
def _watchdog() -> Iterator[None]:
    def bark(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"it hangs: nothing came of it in {PATIENCE_S} s")

    before = signal.signal(signal.SIGALRM, bark)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
