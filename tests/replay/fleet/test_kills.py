"""Replays whose workers or whose driver are killed at random instants: nothing is left, nothing half done looks whole.

A longer search: ``python -m tests.replay.fleet.test_kills KILLS SEED``.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from sim.records.results import open_run
from tests.replay.worlds import wait_until, workers_of

N_KILLS = 4  # every policy and every victim once
POLICIES = ("balance", "exclusive")
N_ARRIVALS = 60
IN_START = 0.25  # share of the kills that come before the first arrival
SCRIPT = """
import sys
from pathlib import Path
import replay.run
from tests.replay.worlds import experiment, functions
replay.run.LATE_S = 3600.0
arrivals = [(0.01 * i, i // 20 % 2) for i in range({n})]
made = experiment(functions(["sleep-8", "sleep-9"]), arrivals, {policy!r})
directory = Path({directory!r})
made.run(directory, force=False, progress=lambda n: directory.with_name("begun").touch())
"""


def run(n: int, seed: int) -> Counter[str]:
    """Kill so many times, policies and victims in turn; counts of (policy, victim, what became of the run)."""
    rng = random.Random(seed)
    counts: Counter[str] = Counter()
    lasts_s = {policy: _undisturbed_s(policy) for policy in POLICIES}
    for number in range(n):
        policy, victim = POLICIES[number % 2], ("worker", "driver")[number // 2 % 2]
        with tempfile.TemporaryDirectory() as name:
            became = _kill(Path(name), policy, victim, lasts_s[policy], rng)
        counts[f"{policy}, {victim} killed: {became}"] += 1
    return counts


def _begin(place, policy, n=N_ARRIVALS):
    script = SCRIPT.format(n=n, policy=policy, directory=str(place / "run"))
    return subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


def _undisturbed_s(policy):
    """How long it takes until the first arrival and from there on, when nobody is killed."""
    begun_s = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        driver = _begin(Path(name), policy)
        wait_until((Path(name) / "begun").exists)
        started_s = time.monotonic()
        assert driver.communicate()[1] == ""
        assert open_run(Path(name) / "run").manifest["valid"]
    return started_s - begun_s, time.monotonic() - started_s


def _kill(place, policy, victim, lasts_s, rng):
    """Kill at a random instant of a run, and see what is left; what became of it. A following run is not disturbed."""
    driver = _begin(place, policy)
    starting_s, running_s = lasts_s
    if rng.random() < IN_START:
        time.sleep(rng.uniform(0.0, starting_s))
    else:
        wait_until((place / "begun").exists)
        time.sleep(rng.uniform(0.0, running_s))
    wait_until(lambda: workers_of(driver.pid) or driver.poll() is not None)
    pids = [driver.pid] if victim == "driver" else workers_of(driver.pid)
    shared = _shared_by(driver.pid)
    if pids and driver.poll() is None:
        with suppress(ProcessLookupError):  # it has ended by itself just now
            os.kill(rng.choice(pids), signal.SIGKILL)
    _, errors = driver.communicate()
    wait_until(lambda: not _of_session(driver.pid))
    assert not [file for file in shared if Path(file).exists()]
    became = _check_run(place, errors, is_driver=victim == "driver")
    if became == "no run":
        follows = _begin(place, "balance", n=2)
        assert follows.communicate()[1] == ""
        assert open_run(place / "run").manifest["valid"]
        assert not [file for file in os.listdir(place) if file.startswith(".")], "what was left is not cleared away"
    return became


def _check_run(place, errors, *, is_driver):
    """A whole run, in which every invocation has a row, or none at all; what became of it."""
    if not (place / "run").exists():
        assert is_driver or "the first worker ended" in errors, errors
        return "no run"
    assert errors == ""
    done = open_run(place / "run")
    rows = done.table("invocations")
    assert sorted(rows.invocation) == list(range(N_ARRIVALS))
    assert set(rows.status) <= {"completed", "failed"}
    failed = rows[rows.status == "failed"]
    assert set(failed.reason) <= {"its worker was killed by SIGKILL"}
    if len(failed):
        assert not done.manifest["valid"]
        assert [reason for reason in done.manifest["reasons"] if "SIGKILL" in reason]
    return "valid" if done.manifest["valid"] else "INVALID"


def _shared_by(leader):
    """Files in shared memory that a driver and its workers have mapped; others may have theirs there."""
    maps = ""
    for process in _of_session(leader):
        with suppress(OSError):
            maps += (Path("/proc") / process / "maps").read_text()
    return set(re.findall(r"/dev/shm/\S+", maps))


def _of_session(leader):
    """Processes of a driver that are there: its own, and those of its workers."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                state, _, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            except OSError:
                continue
            if int(session) == leader and state != "Z":
                found.append(entry.name)
    return found


def test_whoever_is_killed_leaves_no_process_and_no_half_run():
    counts = run(N_KILLS, seed=1)
    print(dict(sorted(counts.items())))
    assert sum(counts.values()) == N_KILLS


if __name__ == "__main__":
    print(dict(sorted(run(int(sys.argv[1]), int(sys.argv[2])).items())))
