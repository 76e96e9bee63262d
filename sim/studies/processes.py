"""Independent tasks in several processes."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from typing import TypeAlias, TypeVar

from sim.errors import RunError

T = TypeVar("T")
R = TypeVar("R")

TaskBar: TypeAlias = Callable[[int], AbstractContextManager[Callable[[int], None]]]
"""Shows progress: is given the number of tasks, and while it is open how many more are done."""


@contextmanager
def no_bar(n_tasks: int) -> Iterator[Callable[[int], None]]:
    """Shows nothing."""
    yield lambda n_done: None


def in_processes(
    work: Callable[[T], R], tasks: Sequence[T], *, cost: Callable[[T], float], jobs: int, bar: TaskBar = no_bar
) -> list[R]:
    """Results of tasks in their order, which don't depend on ``jobs``, the number of processes.

    The task of the greatest cost begins first, so that no process waits long at the end. With one process or one task
    it is this process. Raises RunError when a process dies.
    """
    order = sorted(range(len(tasks)), key=lambda i: -cost(tasks[i]))
    each = _spread if min(jobs, len(tasks)) > 1 else _in_turn
    results = {}
    with bar(len(tasks)) as advance:
        for i, result in each(work, tasks, order, jobs):
            results[i] = result
            advance(1)
    return [results[i] for i in range(len(tasks))]


def _in_turn(work: Callable[[T], R], tasks: Sequence[T], order: Sequence[int], jobs: int) -> Iterator[tuple[int, R]]:
    return ((i, work(tasks[i])) for i in order)


def _spread(work: Callable[[T], R], tasks: Sequence[T], order: Sequence[int], jobs: int) -> Iterator[tuple[int, R]]:
    """Ctrl-C and SIGTERM end the processes without a word, and this one begins no more tasks."""
    pool = ProcessPoolExecutor(
        min(jobs, len(tasks)), multiprocessing.get_context("spawn"), signal.signal, (signal.SIGINT, signal.SIG_DFL)
    )
    try:
        futures = {pool.submit(work, tasks[i]): i for i in order}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except KeyboardInterrupt:
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    except BrokenProcessPool:
        raise RunError("a process died before its simulation ended; was there memory enough for --jobs?") from None
    finally:
        pool.shutdown(cancel_futures=True)
