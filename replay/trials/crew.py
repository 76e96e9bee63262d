"""Workers for trials: processes as those of a replay, that are given work for a while, alone or side by side."""

from __future__ import annotations

import pickle
import select
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

from replay.errors import ReplayError
from replay.fleet.messages import EXECUTOR, Assignment, Done, Failed, Job, Ready
from replay.fleet.shm import SharedData
from replay.fleet.workers import Release, WorkerProcess, answer_of
from sim.domain import Function
from sim.models.workloads.catalogue import CatalogueEntry

SENT_AHEAD = 2  # jobs in a pipe: one at work and the next


class Member(NamedTuple):
    """What a worker is: by what and with how much of its device, and which class runs its graphs."""

    mode: str = "static"
    share: float = 1.0
    executor: str = EXECUTOR


@dataclass(frozen=True, eq=False)
class Worker:
    """A worker that is ready. begun_ns: when its process was started."""

    process: WorkerProcess
    begun_ns: int
    ready: Ready


def functions_of(entries: Mapping[str, CatalogueEntry]) -> tuple[Function, ...]:
    """A function for each graph of a catalogue, under its name."""
    return tuple(Function(i, name, e.graph, e.fresh_inputs) for i, (name, e) in enumerate(entries.items()))


class Yard:
    """Where crews are stood up: a device, functions with their data, and the memory that each worker takes."""

    def __init__(self, device: str, functions: Sequence[Function], memory_limit_bytes: int, seed: int = 0) -> None:
        self._data = SharedData({f.graph.name: f.graph for f in functions}.values(), seed)
        self._pattern = Assignment(device, tuple(functions), self._data.places, EXECUTOR, memory_limit_bytes, True)

    def close(self) -> None:
        """Let go of the data."""
        self._data.close()

    def prepare(self) -> dict[str, object]:
        """Compile the kernels, in a process of its own, so that no start waits for a compiler; facts of the device."""
        with tempfile.TemporaryFile() as log:
            process = WorkerProcess(pickle.dumps(self._pattern), None, log)
            try:
                return answer_of(process, log).facts
            finally:
                process.kill()

    @contextmanager
    def crew(
        self, members: Sequence[Member], functions: Sequence[Function] | None = None, release: Release = lambda: None
    ) -> Iterator[list[Worker]]:
        """Workers side by side, which are killed in the end. functions: those that they have, by default all.

        Raises ReplayError when one can't get ready.
        """
        with ExitStack() as stack:
            log = stack.enter_context(tempfile.TemporaryFile())
            stack.callback(release)
            started = []
            for member in members:
                assignment = replace(self._pattern, **member._asdict())
                if functions is not None:
                    assignment = replace(assignment, functions=tuple(functions))
                begun_ns = time.monotonic_ns()
                process = WorkerProcess(pickle.dumps(assignment), self._data.fd, log)
                stack.callback(process.kill)
                started.append((process, begun_ns))
            yield [Worker(process, begun_ns, answer_of(process, log)) for process, begun_ns in started]


def work(jobs: Mapping[Worker, int], seconds: float) -> dict[Worker, list[Done]]:
    """Let each worker run its function again and again; what was done while all of them were at it.

    Each has run it once before that. Raises ReplayError when a worker fails.
    """
    for worker, function in jobs.items():
        run_once(worker, function)
    for worker, function in jobs.items():
        for _ in range(SENT_AHEAD):
            worker.process.send(Job(0, function))
    done: dict[Worker, list[Done]] = {worker: [] for worker in jobs}
    waiting = dict.fromkeys(jobs, SENT_AHEAD)
    until_ns = time.monotonic_ns() + int(seconds * 1e9)
    while any(waiting.values()):
        readable, _, _ = select.select([w.process for w, n in waiting.items() if n], [], [])
        for worker in [w for w in jobs if w.process in readable]:
            done[worker].append(_answer(worker))
            waiting[worker] -= 1
            if time.monotonic_ns() < until_ns:
                worker.process.send(Job(0, jobs[worker]))
                waiting[worker] += 1
    begun_ns = max(runs[0].started_ns for runs in done.values())
    over_ns = max(min(runs[-1].ended_ns for runs in done.values()), begun_ns)
    return {w: [r for r in runs if begun_ns <= r.started_ns and r.ended_ns <= over_ns] for w, runs in done.items()}


def run_once(worker: Worker, function: int) -> Done:
    """One run of a function. Raises ReplayError when the worker fails."""
    worker.process.send(Job(0, function))
    return _answer(worker)


def _answer(worker: Worker) -> Done:
    answer = worker.process.receive()
    if isinstance(answer, Done):
        return answer
    raise ReplayError(answer.reason if isinstance(answer, Failed) else "a worker of the trial ended by itself")
