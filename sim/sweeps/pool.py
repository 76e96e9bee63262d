"""Tasks in processes of this machine, one of which may die without harm to the others."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

T = TypeVar("T")

MOST_DEATHS = 3  # of processes with the same task, until it is given up
LOOK_S = 0.5  # between two looks whether to stop
_DIED = f"its process died {MOST_DEATHS} times; was there memory enough for --jobs?"


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
    """A process that does one task after another."""

    def __init__(self, work: Callable[[Any], str]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(work, there), daemon=True)
        self._process.start()
        there.close()

    def begin(self, task: object) -> None:
        with suppress(OSError):  # it has died by now, which ``result`` will find
            self.pipe.send(task)

    def result(self) -> str | None:
        """What came of the task, None if the process died."""
        try:
            return str(self.pipe.recv())
        except (EOFError, OSError):
            return None

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self.pipe.close()


def _serve(work: Callable[[Any], str], pipe: Connection) -> None:
    """What the process does: tasks in a thread, so that it ends with its parent, at once, whatever ends that.

    Ctrl-C is for the parent. A run leaves signals alone where it isn't in the main thread.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_work, args=(work, pipe), daemon=True).start()
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _work(work: Callable[[Any], str], pipe: Connection) -> None:
    try:
        while True:
            pipe.send(work(pipe.recv()))
    except BaseException:  # no ``Exception``: work returns those as text
        os._exit(1)
