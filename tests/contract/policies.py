"""Policies that give orders which no built-in policy gives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf

from sim.domain import WorkerKind
from sim.policies.base import BasePolicy
from sim.protocol import ANY_DEVICE, Action, Arrival, Event, Finished, Need, Reject, Run, Standing, Start, Stop, Wake

Answers = Sequence[tuple[Event, Sequence[Action]]]


class Script(BasePolicy):
    """Answers the events that are written in it, whenever they come, and no other."""

    name = "script"

    def __init__(
        self,
        answers: Answers,
        standing: Sequence[Standing] = (),
        needs: Iterable[Need] = (),
        workers: Sequence[WorkerKind] = (WorkerKind.EXCLUSIVE,),
    ) -> None:
        self._answers = answers
        self._standing = standing
        self.needs = frozenset(needs)
        self.workers = tuple(workers)

    def describe(self):
        return "script"

    def reset(self, *_):
        pass

    def standing(self, fleet):
        return list(self._standing)

    def on_event(self, now_s, event, view):
        return next((actions for told, actions in self._answers if told == event), ())


class Drawn(BasePolicy):
    """Answers the n-th event with the n-th list of moves, as far as they are possible; then serves what waits.

    A move is a word, and a number that chooses among workers, devices or instants; those that go beyond the needs are
    left out. What waits is served by a worker each, which is stopped at once. parts: whether workers take quarters of
    the memory, or whole devices.
    """

    name = "drawn"
    workers = (WorkerKind.EXCLUSIVE,)

    def __init__(
        self,
        answers: Sequence[Sequence[tuple[str, int]]],
        standing: Sequence[Standing],
        needs: Iterable[Need] = (),
        parts: bool = False,
    ) -> None:
        self._answers = answers
        self._standing = standing
        self._parts = parts
        self.needs = frozenset({*needs, *([Need.SHARED_DEVICES] if parts else [])})

    def describe(self):
        return "drawn"

    def reset(self, fleet, functions, *_):
        self._fleet = fleet
        self._n_functions = len(functions)
        self._n_told = 0
        self._n_workers = len(self._standing)

    def standing(self, fleet):
        return list(self._standing)

    def on_event(self, now_s, event, view):
        self._now_s = now_s
        self._waiting = dict(view.waiting)
        self._there = {number: worker.function for number, worker in view.workers.items() if not worker.stopping}
        self._actions = []
        if self._n_told < len(self._answers):
            for word, number in self._answers[self._n_told]:
                self._move(word, number)
        elif isinstance(event, Arrival | Finished):
            for function in list(self._waiting.values()):
                worker = self._start(0, function)
                self._run(worker)
                self._stop(worker)
        self._n_told += 1
        return self._actions

    def _move(self, word, number):
        if word == "start":
            self._run(self._start(number, number % self._n_functions))
        elif word == "reject" and self._waiting:
            self._actions.append(Reject(self._waiting.popitem()[0], "drawn"))
        elif word == "wake" and Need.TIMERS in self.needs:
            at_s = inf if number == 11 else self._now_s + (number // 2 - 1) / 4
            self._actions.append(Wake("ab"[number % 2], at_s))
        elif word in ("run", "batch", "stop") and self._there:
            worker = list(self._there)[number % len(self._there)]
            if word == "stop":
                self._stop(worker)
            elif word == "run":
                self._run(worker, latest_s=self._now_s + number / 4 if Need.LATEST in self.needs else inf)
            elif Need.BATCHES in self.needs:
                self._run(worker, 1 + number % 3)

    def _start(self, number, function):
        worker = self._n_workers
        self._n_workers += 1
        self._there[worker] = function
        device = number % (self._fleet.n_gpus + 1) + ANY_DEVICE
        memory_bytes = self._fleet.device.memory_bytes * (1 + number // 4) // 4 if self._parts else None
        self._actions.append(Start(worker, device, function, memory_bytes=memory_bytes))
        return worker

    def _run(self, worker, at_most=1, latest_s=inf):
        mine = [i for i, function in self._waiting.items() if function == self._there[worker]][:at_most]
        if mine:
            for invocation in mine:
                del self._waiting[invocation]
            self._actions.append(Run(mine[0], worker, latest_s, tuple(mine[1:])))

    def _stop(self, worker):
        del self._there[worker]
        self._actions.append(Stop(worker))
