"""Commands that are killed at random instants leave what was there, or what they write, and nothing between.

A longer search: ``python -m tests.abuse.test_kills SECONDS SEED``.
"""

from __future__ import annotations

import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.abuse.writers import call, left, prepare, start, writers

N_KILLS = 2  # of each command


def run(seconds: float, seed: int, n: int | None = None) -> Counter[str]:
    """Kill each command n times, or until the time is over; counts of (command, signal, what was there then)."""
    counts: Counter[str] = Counter()
    rng = random.Random(seed)
    until_s = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name))
        ready = [(writer, *_states(writer)) for writer in writers(Path(name)) if writer.name != "sample"]  # as convert
        done = 0
        while done < (n or sys.maxsize) and time.monotonic() < until_s:
            for writer, before, after, lasts_s in ready:
                process = start(writer.words(2))
                time.sleep(rng.uniform(0.1, 1.0) * lasts_s)
                number = rng.choice([signal.SIGKILL, signal.SIGTERM])
                process.send_signal(number)
                process.communicate()
                state = writer.state()
                word = {before: "as before", after: "written", "interrupted: seed 2": "interrupted"}.get(state, state)
                counts[f"{writer.name}, {number.name}: {word}"] += 1
                assert word in ("as before", "written", "interrupted"), f"{writer.name}: {state}"
                if word != "as before":
                    call(*writer.words(1))
                    assert writer.state() == before
            done += 1
        for writer, *_ in ready:
            call(*writer.words(1))
        assert left(Path(name)) == []
    return counts


def _states(writer):
    """What is there after seed 1 and after seed 2, which are put there; and how long that takes."""
    begun_s = time.monotonic()
    call(*writer.words(2))
    lasts_s = time.monotonic() - begun_s
    after = writer.state()
    call(*writer.words(1))
    before = writer.state()
    assert before != after
    return before, after, lasts_s


def test_kills_leave_the_old_or_the_new():
    counts = run(300.0, seed=1, n=N_KILLS)
    print(dict(sorted(counts.items())))
    assert sum(counts.values()) == N_KILLS * 4


if __name__ == "__main__":
    print(dict(sorted(run(float(sys.argv[1]), int(sys.argv[2])).items())))
