"""Worker processes: a fresh interpreter each, killed without asking, and gone only when their device memory is free."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import Pipe
from queue import SimpleQueue
from typing import IO, Any, NamedTuple

from replay.errors import ReplayError
from replay.fleet.messages import Broken, Job, Ready

PREPARE_PATIENCE_S = 600.0  # with a process that compiles all kernels

Release = Callable[[], object]  # blocks until the memory of a dead process is free


class Death(NamedTuple):
    """The process of a worker is gone.

    status: as ``subprocess`` has it. dying_ns, released_ns: when it was killed or found dead, and when its memory
    was free. trouble: why that can't be told; empty when it can.
    """

    worker: int
    status: int
    dying_ns: int
    released_ns: int
    trouble: str = ""

    @property
    def how(self) -> str:
        """How a process died that nobody stopped: what follows "its worker"."""
        if self.status < 0:
            return f"was killed by {signal.Signals(-self.status).name}"
        return f"ended with exit status {self.status}"


class WorkerProcess:
    """One process of a worker. Messages of ``replay.fleet.messages`` go through its pipe.

    ``fileno()`` is readable when there is a message, or when the process has ended (``receive`` then gives None).
    assignment: a pickled ``replay.fleet.messages.Assignment``. data_fd: of ``replay.fleet.shm``, if it needs data.
    log: where it writes what it has to say.
    It must be made in the main thread: the process dies with the thread that made it.
    """

    def __init__(self, assignment: bytes, data_fd: int | None, log: IO[bytes]) -> None:
        self._connection, theirs = Pipe()
        fds = [theirs.fileno(), *([] if data_fd is None else [data_fd])]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "replay.fleet.worker_main", *map(str, [os.getpid(), *fds])],
            pass_fds=fds,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        theirs.close()
        self.pid = self._process.pid
        with suppress(OSError):
            self._connection.send_bytes(assignment)

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._connection.fileno()

    def send(self, job: Job) -> None:
        """Send, or do nothing when the process has ended: that is told by ``receive``."""
        with suppress(OSError):
            self._connection.send(job)

    def receive(self, patience_s: float | None = None) -> Any:
        """The next message, or None when the process has ended or says nothing for so long."""
        try:
            if patience_s is not None and not self._connection.poll(patience_s):
                return None
            return self._connection.recv()
        except (EOFError, OSError):
            return None

    def has_message(self) -> bool:
        """Whether ``receive`` returns at once."""
        return self._connection.poll()

    def kill(self) -> int:
        """Kill it and wait for its end; returns its exit status."""
        self._process.kill()
        status = self._process.wait()
        self._connection.close()
        return status


def answer_of(process: WorkerProcess, log: IO[bytes]) -> Ready:
    """Wait until a process is ready. Raises ReplayError when it can't get ready, with what it wrote to ``log`` last."""
    answer = process.receive(PREPARE_PATIENCE_S)
    if isinstance(answer, Ready):
        return answer
    if isinstance(answer, Broken):
        raise ReplayError(answer.message)
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    last = lines[-1] if lines else "it left no message"
    raise ReplayError(
        f"the first worker ended, or was silent for {PREPARE_PATIENCE_S:g} s, before it was ready: {last}"
    )


class Undertaker:
    """Kills processes and waits for their release in threads of its own, at most ``n`` at a time, so that nothing
    else waits.

    ``fileno()`` is readable when ``deaths()`` has something to tell.
    """

    def __init__(self, n: int) -> None:
        self._deaths: SimpleQueue[Death] = SimpleQueue()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK)
        self._threads = ThreadPoolExecutor(n)
        all_there = threading.Barrier(n + 1)
        for _ in range(n):  # start all threads now: to start one on a busy machine can take long
            self._threads.submit(all_there.wait)
        all_there.wait()

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._bell

    def bury(self, process: WorkerProcess, release: Release, worker: int) -> None:
        """Make an end of the process of a worker."""
        self._threads.submit(self._bury, process, release, worker, time.monotonic_ns())

    def deaths(self) -> list[Death]:
        """The processes that are gone since the last call of this."""
        try:
            os.eventfd_read(self._bell)
        except BlockingIOError:
            return []
        return [self._deaths.get() for _ in range(self._deaths.qsize())]

    def close(self) -> None:
        """Wait for what was begun."""
        self._threads.shutdown()
        os.close(self._bell)

    def _bury(self, process: WorkerProcess, release: Release, worker: int, dying_ns: int) -> None:
        status = process.kill()
        trouble = ""
        try:
            release()
        except Exception as error:  # whatever it is: a death that nobody is told of would be waited for without end
            trouble = str(error) or type(error).__name__
        self._deaths.put(Death(worker, status, dying_ns, time.monotonic_ns(), trouble))
        os.eventfd_write(self._bell, 1)
