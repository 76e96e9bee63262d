"""Tasks in processes of this machine, one of which may die without harm to the others."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any, Literal, TypeAlias, TypeVar

T = TypeVar("T")
Jobs: TypeAlias = int | Literal["auto"]

MOST_DEATHS = 3  # of processes with the same task, until it is given up
LOOK_S = 0.5  # between two looks whether to stop
_DIED = f"its process died {MOST_DEATHS} times; was there memory enough for --jobs?"


def n_processes(jobs: Jobs) -> int:
    """How many processes: as many as CPUs that this one may use, or as it is said."""
    if jobs != "auto":
        return jobs
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_processes(
    work: Callable[[T], str], tasks: Sequence[T], jobs: int, stopping: Callable[[], bool]
) -> Generator[tuple[T, str], None, None]:
    """Each task with what ``work`` returns of it, as they end; they begin in their order.

    A task whose process dies is begun again in a new one, at most MOST_DEATHS times in all; the text says so then.
    stopping: once it is true the processes are killed, and what has not ended is not told.
    """
    waiting = deque((task, 0) for task in tasks)
    busy: dict[Connection, tuple[_Worker, T, int]] = {}
    free: list[_Worker] = []
    try:
        while (waiting or busy) and not stopping():
            while waiting and len(busy) < jobs:
                worker, (task, n_deaths) = free.pop() if free else _Worker(work), waiting.popleft()
                busy[worker.pipe] = (worker, task, n_deaths)
                worker.begin(task)
            ready = wait([*busy], LOOK_S)
            for pipe in [pipe for pipe in busy if pipe in ready]:
                worker, task, n_deaths = busy.pop(pipe)
                result = worker.result()
                if result is not None:
                    free.append(worker)
                    yield task, result
                    continue
                worker.kill()
                if n_deaths + 1 < MOST_DEATHS:
                    waiting.appendleft((task, n_deaths + 1))
                else:
                    yield task, _DIED
    finally:
        for worker in (*free, *(worker for worker, *_ in busy.values())):
            worker.kill()


class _Worker:
    """A process that does one task after another, see ``sim.processes.process``: the program of a user is not in it."""

    def __init__(self, work: Callable[[Any], str]) -> None:
        self.pipe, theirs = Pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sim.processes.process", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.DEVNULL,
            stdout=sys.__stderr__,  # what a policy prints is no result of the sweep
        )
        theirs.close()
        self.begin(work)

    def begin(self, message: object) -> None:
        with suppress(OSError):  # it has died by now, which ``result`` will find
            self.pipe.send(message)

    def result(self) -> str | None:
        """What came of the task, None if the process died."""
        try:
            return str(self.pipe.recv())
        except (EOFError, OSError):
            return None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self.pipe.close()
