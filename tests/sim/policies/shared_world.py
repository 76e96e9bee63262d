"""A scripted world for workers that share devices by memory, in which workers die, and devices fail and come back.

Every invocation takes the seconds that the script says; a start and a stop take ``start_s`` and ``stop_s``. Who gets
memory when says the placement book; the world checks that nobody gets what is not there.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count

from sim.dispatcher import Dispatcher
from sim.domain import DeviceSpec, FleetSpec
from sim.placement import Placed, PlacementBook
from sim.protocol import (
    ARRIVAL,
    FINISHED,
    WOKE,
    WORKER_CHANGED,
    Arrival,
    DeviceChanged,
    Finished,
    Outcome,
    Run,
    Slot,
    Start,
    Stop,
    Wake,
    Woke,
    WorkerReady,
    WorkerStopped,
)
from sim.streams import Stream, generator
from tests.contract.scripted import FixedCosts, functions


class Worker(Placed):
    def __init__(self, order: Start) -> None:
        super().__init__(order.memory_bytes)
        self.order = order
        self.ready = False
        self.queue = []
        self.running = []

    @property
    def has_work(self):
        return bool(self.queue or self.running)


class SharedWorld:
    """Runs a script [(arrival_at_s, function, run_s), ...]; ``log``: (now_s, event, actions); ``ended``: outcomes.

    failures: (instant, device, instant when it is back). deaths: (instant, which of the workers that are there then).
    """

    def __init__(self, policy, sizes, memory_bytes, script, *, start_s=0.5, stop_s=0.25, failures=(), deaths=()):
        n, self.size = len(memory_bytes), sizes[0]
        self.log, self.ended, self.script = [], {}, script
        self.start_s, self.stop_s = start_s, stop_s
        self.dispatcher = Dispatcher(
            policy,
            FleetSpec(DeviceSpec("scripted", sizes[0]), len(sizes)),
            functions(n),
            FixedCosts([1.0] * n, memory_bytes),
            generator(0, Stream.POLICY),
            log=lambda now_s, event, actions: self.log.append((now_s, event, list(actions))),
        )
        self.workers = {}
        self.closed = set()
        self.wake_at_s = {}
        self._book = PlacementBook(sizes)
        self._events = []
        self._number = count()
        for number, (at_s, function, _) in enumerate(script):
            self._post(at_s, ARRIVAL, Arrival(number, function))
        for at_s, device, back_at_s in failures:
            self._post(at_s, WORKER_CHANGED, DeviceChanged(device, ()))
            self._post(back_at_s, WORKER_CHANGED, DeviceChanged(device, (Slot(device, self.size),)))

        for at_s, which in deaths:
            self._post(at_s, WORKER_CHANGED, which)

    def run(self):
        while self._events:
            now_s, _, _, event = heappop(self._events)
            if isinstance(event, DeviceChanged):
                self._change(now_s, event)
            elif isinstance(event, int):
                there = [w for w in self.workers.values() if not w.waits]
                if there:
                    self._lose(now_s, [there[event % len(there)]], ())
            elif isinstance(event, Woke):
                if self.wake_at_s.get(event.tag) == now_s:
                    del self.wake_at_s[event.tag]
                    self._report(now_s, event)
            elif isinstance(event, Finished):
                worker = self.workers.get(event.worker)
                if worker is not None:
                    worker.running.remove(event.invocation)
                    self._go_on(now_s, worker)
                    self._end(now_s, event)
            elif event.__class__ is Arrival:
                self._report(now_s, event)
            elif event.worker in self.workers:
                worker = self.workers[event.worker]
                if isinstance(event, WorkerReady):
                    worker.ready = True
                    self._go_on(now_s, worker)
                else:
                    self._leave(now_s, worker)
                self._report(now_s, event)
        return self

    def _post(self, at_s, priority, event):
        heappush(self._events, (at_s, priority, next(self._number), event))

    def _report(self, now_s, event):
        for action in self.dispatcher.report(now_s, event):
            if isinstance(action, Run):
                worker = self.workers[action.worker]
                assert worker.place not in self.closed
                worker.queue.append(action.invocation)
                self._go_on(now_s, worker)
            elif isinstance(action, Start):
                assert action.device not in self.closed
                worker = self.workers[action.worker] = Worker(action)
                if self._book.start(worker, action.device):
                    self._begin(now_s, worker)
            elif isinstance(action, Stop):
                worker = self.workers[action.worker]
                worker.stopping = True
                assert worker.place not in self.closed
                assert worker.must_leave(ready=worker.ready, has_work=worker.has_work), "only idle ones are stopped"
                self._post(now_s + self.stop_s, WORKER_CHANGED, WorkerStopped(action.worker))
            elif isinstance(action, Wake):
                at_s = self.wake_at_s[action.tag] = max(action.at_s, now_s)
                self._post(at_s, WOKE, Woke(action.tag))
        self.dispatcher.check()

    def _begin(self, now_s, worker):
        on = [w for w in self.workers.values() if w.place == worker.place and not w.waits]
        assert sum(w.takes_bytes for w in on) <= self.size, "memory is exceeded"
        self._post(now_s + self.start_s, WORKER_CHANGED, WorkerReady(worker.order.worker, worker.place))

    def _leave(self, now_s, worker):
        del self.workers[worker.order.worker]
        for got in self._book.leave(worker):
            self._begin(now_s, got)

    def _go_on(self, now_s, worker):
        while worker.ready and worker.queue and len(worker.running) < worker.order.concurrency:
            invocation = worker.queue.pop(0)
            worker.running.append(invocation)
            done_at_s = now_s + self.script[invocation][2]
            self._post(done_at_s, FINISHED, Finished(invocation, worker.order.worker))

    def _end(self, now_s, event):
        assert event.invocation not in self.ended, "an invocation ended twice"
        self.ended[event.invocation] = event.outcome
        self._report(now_s, event)

    def _change(self, now_s, event):
        """A device fails or is back. What a failure takes with it is told first, then what was lost by it."""
        if event.slots:
            self.closed.discard(event.device)
            assert not self._book.open(event.device, self.size)
            self._report(now_s, event)
            return
        self.closed.add(event.device)
        lost = [w for w in self.workers.values() if w.place == event.device]
        in_line = self._book.close(event.device)
        self._report(now_s, event)
        self._lose(now_s, lost, in_line)

    def _lose(self, now_s, lost, in_line):
        for worker in lost:
            if worker in in_line:
                del self.workers[worker.order.worker]
            else:
                self._leave(now_s, worker)
            self._report(now_s, WorkerStopped(worker.order.worker, died=not worker.stopping))
        for worker in lost:
            for invocation in (*worker.running, *worker.queue):
                self._end(now_s, Finished(invocation, worker.order.worker, Outcome.FAILED))
