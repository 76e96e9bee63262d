"""What the literal rules share: executors, what they have, and what waits, all in plain lists."""

from __future__ import annotations

from typing import NamedTuple

from sim.domain import WorkerKind
from sim.protocol import Arrival, Finished, Run, Standing


class Waiting(NamedTuple):
    """An invocation as it arrived; ``turn``: how many came before."""

    turn: int
    invocation: int
    function: int
    at_s: float
    due_at_s: float


class LiteralPool:
    """Executors that never fail. given: what each has, oldest first."""

    workers = (WorkerKind.KAAS,)
    needs = frozenset()

    def describe(self):
        return type(self).__name__

    def standing(self, fleet):
        return [Standing(device, -1) for device in range(fleet.n_gpus)]

    def reset(self, fleet, functions, costs, rng):
        self.functions = functions
        self.expected_s = [costs.expected_s(f.id) for f in functions]
        self.rng = rng
        self.turn = 0
        self.given = [[] for _ in range(fleet.n_gpus)]

    def arrive(self, now_s, event):
        self.turn += 1
        return Waiting(self.turn, event.invocation, event.function, now_s, event.due_at_s)


class LiteralEarly(LiteralPool):
    """Subclasses choose a worker for each arrival, by a look at all."""

    def on_event(self, now_s, event, view):
        if isinstance(event, Arrival):
            new = self.arrive(now_s, event)
            worker = self.choose(now_s, new)
            self.given[worker].append(new)
            return [Run(new.invocation, worker)]
        if isinstance(event, Finished):
            done = self.given[event.worker].pop(0)
            assert done.invocation == event.invocation
            self.ended(now_s, event.worker)
        return []

    def ended(self, now_s, worker):
        pass


class LiteralCentral(LiteralPool):
    """Subclasses choose one of what waits for each free worker, the most recently freed first, by a look at all."""

    def reset(self, fleet, functions, costs, rng):
        super().reset(fleet, functions, costs, rng)
        self.free = list(reversed(range(fleet.n_gpus)))
        self.waiting = []

    def on_event(self, now_s, event, view):
        if isinstance(event, Arrival):
            self.waiting.append(self.arrive(now_s, event))
            self.came(now_s, self.waiting[-1])
        elif isinstance(event, Finished):
            self.ended(now_s, self.given[event.worker].pop(0), event.worker)
            self.free.append(event.worker)
        actions = []
        while self.free and self.waiting:
            worker = self.free.pop()
            chosen = self.choose(now_s, worker)
            self.waiting.remove(chosen)
            self.given[worker].append(chosen)
            self.left(now_s, chosen, worker)
            actions.append(Run(chosen.invocation, worker))
        return actions

    def came(self, now_s, new):
        pass

    def left(self, now_s, chosen, worker):
        pass

    def ended(self, now_s, done, worker):
        pass
