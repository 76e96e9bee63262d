"""The real fleet: devices, and the workers on them. Who gets which device, and when, says ``sim.placement``.

A worker takes jobs first in, first out. One that has to leave its device is killed. A worker that dies by itself fails
the job that it was at, is restarted in its place, and goes on with its queue; so does one that says nothing for too
long.
"""

from __future__ import annotations

import os
import select
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import IO, NamedTuple

from replay.errors import ReplayError
from replay.fleet.messages import Broken, Done, Failed, Job, Late, Ready
from replay.fleet.workers import Death, Release, Undertaker, WorkerProcess
from sim.models.startup import Ladder
from sim.placement import Placed, PlacementBook
from sim.protocol import FINISHED, WORKER_CHANGED, Standing

SENT_AHEAD = 2  # jobs in a pipe: one at work and the next, so that a worker does not wait for the driver
MAX_STARTS = 3  # of a worker in a row, without getting ready
PATIENCE_S = 120.0  # with a silent worker: a start takes seconds, a job less, and what is stuck stays so for ever

Assign = Callable[[Standing], bytes]  # what a worker is -> pickled replay.fleet.messages.Assignment


class RealDevice:
    """One device. freed: the end of the process on it that ended last."""

    def __init__(self, number: int, release: Release) -> None:
        self.number = number
        self.release = release
        self.freed: Death | None = None


class RealWorker(Placed):
    """Ground truth about one worker. Instants are of ``time.monotonic_ns()``, None while they have not come.

    what: its device, function, share and memory; is_standing: whether it was there from the beginning. ladder: how it
    was started, if it was not. device: it has it once it waits for none. follows: whose memory it got there.
    """

    def __init__(self, number: int, what: Standing, *, is_standing: bool) -> None:
        super().__init__(what.memory_bytes)
        self.number = number
        self.device: RealDevice
        self.what = what
        self.is_standing = is_standing
        self.requested_ns = time.monotonic_ns()
        self.ready_ns: int | None = None
        self.stopped_ns: int | None = None
        self.ladder: Ladder | None = None
        self.follows: Death | None = None
        self.queue: deque[Job] = deque()
        self.sent: deque[Job] = deque()
        self.process: WorkerProcess | None = None
        self.accepts = False  # its process is ready for jobs
        self.leaves = False  # its process has told that it ends
        self.n_starts = 0  # since it accepted jobs
        self.heard_s = 0.0  # when it last said something, was started, or was given work while it had none
        self.is_hung = False  # it was killed for its silence
        self.is_let_go = False  # it was killed since it was told to stop

    @property
    def is_moving(self) -> bool:
        """Whether it does what it was ordered to do, or is about to, once it has a device."""
        return self.stopping or self.ready_ns is None or bool(self.queue or self.sent)


class Change(NamedTuple):
    """What happened to a worker: a job is Done, Failed or Late, it is Ready for the first time, or stopped (None)."""

    priority: int
    worker: RealWorker
    what: Done | Failed | Late | Ready | None


class Loss(NamedTuple):
    """A worker whose process ended though nobody had told it to. how: what follows "worker N"."""

    worker: int
    device: int
    at_ns: int
    how: str


class RealFleet:
    """Workers by number, as the dispatcher knows them. Processes write what they have to say to ``log``.

    memory_bytes: of each device, as orders count it. releases: of each device, see ``replay.fleet.machine``.
    losses: workers that were lost, and restarted where they were needed.
    n_processes: how many there are at most, whose ends then don't wait for each other. patience_s: a process that has
    to get ready or has a job, and says nothing for so long, is killed as if it had died.
    """

    def __init__(
        self,
        memory_bytes: Sequence[int],
        releases: Sequence[Release],
        assign: Assign,
        data_fd: int,
        log: IO[bytes],
        n_processes: int,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.workers: dict[int, RealWorker] = {}
        self.losses: list[Loss] = []
        self._devices = [RealDevice(number, release) for number, release in enumerate(releases)]
        self._book = PlacementBook[RealWorker](memory_bytes)
        self._assign = assign
        self._data_fd = data_fd
        self._log = log
        self._undertaker = Undertaker(n_processes)
        self._patience_s = patience_s
        self._alarm = os.eventfd(0, os.EFD_NONBLOCK)
        self._by_fd: dict[int, RealWorker] = {}
        self._changes: list[Change] = []

    @property
    def unsettled(self) -> bool:
        """Whether something is under way: a job, or the start or end of a worker that has a device."""
        return bool(self._changes) or any(w.is_moving for w in self.workers.values() if not w.waits)

    # Orders

    def stand_up(self, number: int, what: Standing) -> RealWorker:
        """Start a worker at once, beside those that stand on its device."""
        worker = self.workers[number] = RealWorker(number, what, is_standing=True)
        self._book.stand(worker, what.device)
        self._put_on_device(worker)
        return worker

    def start(self, number: int, what: Standing) -> RealWorker:
        """Start a worker once its device has room for it, on ANY_DEVICE on the first that has."""
        worker = self.workers[number] = RealWorker(number, what, is_standing=False)
        if self._book.start(worker, what.device):
            self._put_on_device(worker)
        return worker

    def run(self, number: int, job: Job) -> None:
        """Give a worker a job."""
        worker = self.workers[number]
        worker.queue.append(job)
        self._feed(worker)

    def stop(self, number: int) -> None:
        """Stop a worker once it has done what it was given."""
        worker = self.workers[number]
        worker.stopping = True
        self._let_go(worker)

    # Reports

    def wait(self, timeout_s: float | None) -> list[Change]:
        """Wait for changes, at most so long, or until ``wake()``; those that come together are in the order of
        ``sim.protocol``. There may be none.

        Raises ReplayError when a worker can't be started, or its device can't be watched after its end.
        """
        sources = [self._undertaker.fileno(), self._alarm, *self._by_fd]
        readable, _, _ = select.select(sources, [], [], 0.0 if self._changes else self._at_most(timeout_s))
        for fd in readable:
            if fd == self._undertaker.fileno():
                for death in self._undertaker.deaths():
                    self._mourn(death)
            elif fd == self._alarm:
                os.eventfd_read(fd)
            else:
                self._listen(self._by_fd[fd])
        self._give_up_the_silent()
        changes, self._changes = sorted(self._changes, key=lambda change: change.priority), []
        return changes

    def wake(self) -> None:
        """Let ``wait()`` return at once."""
        os.eventfd_write(self._alarm, 1)

    def close(self) -> None:
        """Kill every process that is left and wait for its end."""
        for worker in self._by_fd.values():
            if worker.process is not None:
                worker.process.kill()
        self._by_fd.clear()
        self._undertaker.close()
        os.close(self._alarm)

    # Jobs

    def _feed(self, worker: RealWorker) -> None:
        """Send what may be sent."""
        if not worker.accepts or worker.leaves:
            return
        assert worker.process is not None
        while worker.queue and len(worker.sent) < SENT_AHEAD:
            if not worker.sent:
                worker.heard_s = time.monotonic()
            worker.sent.append(worker.queue.popleft())
            worker.process.send(worker.sent[-1])
        self._let_go(worker)

    def _let_go(self, worker: RealWorker) -> None:
        """A worker that was told to stop leaves its line, or is killed, if nothing is left for it to do."""
        has_work = bool(worker.queue or worker.sent)
        if worker.must_leave(ready=worker.accepts and not worker.leaves, has_work=has_work):
            if worker.waits:
                self._leave(worker)
            else:
                worker.is_let_go = True
                self._bury(worker)

    def _listen(self, worker: RealWorker) -> None:
        """Take in what a process has to say."""
        while worker.process is not None and worker.process.has_message():
            message = worker.process.receive()
            worker.heard_s = time.monotonic()
            if isinstance(message, Done | Failed | Late):
                worker.sent.popleft()
                worker.leaves = isinstance(message, Failed) and message.fatal
                self._changes.append(Change(FINISHED, worker, message))
                self._feed(worker)
            elif isinstance(message, Ready):
                self._accept(worker, message)
            elif isinstance(message, Broken):
                raise ReplayError(f"device {worker.device.number}: {message.message}")
            else:
                self._bury(worker)

    # Silence

    def _at_most(self, timeout_s: float | None) -> float | None:
        """How long to wait: no longer than until the next worker has been silent for too long."""
        silent_s = [worker.heard_s for worker in self._by_fd.values() if worker.sent or not worker.accepts]
        if not silent_s:
            return timeout_s
        left_s = max(min(silent_s) + self._patience_s - time.monotonic(), 0.0)
        return left_s if timeout_s is None else min(timeout_s, left_s)

    def _give_up_the_silent(self) -> None:
        """Kill workers that don't answer: hung in a kernel, stopped, or cut off."""
        if not self._by_fd:
            return
        since_s = time.monotonic() - self._patience_s
        for worker in list(self._by_fd.values()):
            if (worker.sent or not worker.accepts) and worker.heard_s <= since_s:
                worker.is_hung = True
                self._bury(worker)

    # Processes

    def _put_on_device(self, worker: RealWorker) -> None:
        """A worker has its device from now on."""
        worker.device = self._devices[worker.place]
        worker.what = worker.what._replace(device=worker.place)
        self._spawn(worker)

    def _spawn(self, worker: RealWorker) -> None:
        if worker.n_starts == MAX_STARTS:
            raise ReplayError(f"worker {worker.number} ended {MAX_STARTS} times before it was ready; see workers.log")
        worker.n_starts += 1
        worker.follows = worker.device.freed
        worker.leaves = False
        worker.is_hung = False
        worker.heard_s = time.monotonic()
        worker.process = WorkerProcess(self._assign(worker.what), self._data_fd, self._log)
        self._by_fd[worker.process.fileno()] = worker

    def _accept(self, worker: RealWorker, ready: Ready) -> None:
        """A process is ready; the ladder of a worker is that of its first."""
        worker.accepts = True
        worker.n_starts = 0
        if worker.ready_ns is None:
            worker.ready_ns = ready.ready_ns
            if not worker.is_standing:
                worker.ladder = _ladder(worker, ready)
            self._changes.append(Change(WORKER_CHANGED, worker, ready))
        self._feed(worker)

    def _bury(self, worker: RealWorker) -> None:
        """The process of a worker is killed, or has ended by itself."""
        assert worker.process is not None
        del self._by_fd[worker.process.fileno()]
        self._undertaker.bury(worker.process, worker.device.release, worker.number)
        worker.process = None
        worker.accepts = False

    def _mourn(self, death: Death) -> None:
        """A process is gone: fail the job it was at; its worker leaves or is restarted."""
        worker = self.workers[death.worker]
        if death.trouble:
            raise ReplayError(
                f"device {worker.device.number}: whether the memory of worker {worker.number} is free can't be told "
                f"({death.trouble})"
            )
        worker.device.freed = death
        how = f"was silent for {self._patience_s:g} s" if worker.is_hung else death.how
        if not worker.is_let_go:
            self.losses.append(Loss(worker.number, worker.device.number, death.dying_ns, how))
        if worker.sent and not worker.leaves:
            job = worker.sent.popleft()
            self._changes.append(Change(FINISHED, worker, Failed(job.invocation, f"its worker {how}", fatal=True)))
        worker.queue.extendleft(reversed(worker.sent))
        worker.sent.clear()
        if worker.must_leave(ready=True, has_work=bool(worker.queue)):
            worker.stopped_ns = death.released_ns
            self._leave(worker)
        else:
            self._spawn(worker)

    def _leave(self, worker: RealWorker) -> None:
        """A worker is gone; another may get its device."""
        worker.stopped_ns = worker.stopped_ns or time.monotonic_ns()
        del self.workers[worker.number]
        self._changes.append(Change(WORKER_CHANGED, worker, None))
        for following in self._book.leave(worker):
            self._put_on_device(following)


def _ladder(worker: RealWorker, ready: Ready) -> Ladder:
    """The stages of a start. ``first_run`` is told by the first job, see ``replay.fleet.driver``."""
    begun_ns, kill_release_ns = worker.requested_ns, 0
    follows = worker.follows
    if follows is not None and follows.released_ns > begun_ns:
        kill_release_ns = follows.released_ns - max(begun_ns, follows.dying_ns)
        begun_ns = follows.released_ns
    ends_ns = (ready.entered_ns, ready.imported_ns, ready.opened_ns, ready.modules_ns, ready.ready_ns)
    stages = [end - start for start, end in zip((begun_ns, *ends_ns), ends_ns, strict=False)]
    return Ladder(*(ns / 1e9 for ns in (kill_release_ns, *stages, 0)))
