"""Policies that give orders which no built-in policy gives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sim.domain import WorkerKind
from sim.policies.base import BasePolicy
from sim.protocol import ANY_DEVICE, Action, Arrival, Event, Finished, Need, Reject, Run, Standing, Start, Stop

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

    A move is a word, and a number that chooses among workers or devices. What waits is served by a worker each, which
    is stopped at once.
    """

    name = "drawn"
    workers = (WorkerKind.EXCLUSIVE,)

    def __init__(self, answers: Sequence[Sequence[tuple[str, int]]], standing: Sequence[Standing]) -> None:
        self._answers = answers
        self._standing = standing

    def describe(self):
        return "drawn"

    def reset(self, fleet, functions, *_):
        self._n_devices = fleet.n_gpus
        self._n_functions = len(functions)
        self._n_told = 0
        self._n_workers = len(self._standing)

    def standing(self, fleet):
        return list(self._standing)

    def on_event(self, now_s, event, view):
        waiting = dict(view.waiting)
        workers = {number: worker.function for number, worker in view.workers.items() if not worker.stopping}
        actions = []

        def start(number, function):
            worker = self._n_workers
            self._n_workers += 1
            workers[worker] = function
            actions.append(Start(worker, number % (self._n_devices + 1) + ANY_DEVICE, function))
            return worker

        def run(worker):
            mine = [i for i, function in waiting.items() if function == workers[worker]]
            if mine:
                del waiting[mine[0]]
                actions.append(Run(mine[0], worker))

        def stop(worker):
            del workers[worker]
            actions.append(Stop(worker))

        if self._n_told < len(self._answers):
            for word, number in self._answers[self._n_told]:
                if word == "start":
                    run(start(number, number % self._n_functions))
                elif word == "reject" and waiting:
                    invocation = waiting.popitem()[0]
                    actions.append(Reject(invocation, "drawn"))
                elif word in ("run", "stop") and workers:
                    worker = list(workers)[number % len(workers)]
                    run(worker) if word == "run" else stop(worker)
        elif isinstance(event, Arrival | Finished):
            for function in list(waiting.values()):
                worker = start(0, function)
                run(worker)
                stop(worker)
        self._n_told += 1
        return actions
