"""SRPT: what is left of everything is computed anew at every event."""

from sim.protocol import Arrival, Finished, Need, Outcome, Preempt, Run
from tests.sim.policies.literal.pool import LiteralPool


class LiteralRemaining(LiteralPool):
    needs = frozenset({Need.PREEMPTION})

    def __init__(self, ageing=0.0):
        self.ageing = ageing

    def reset(self, fleet, functions, costs, rng):
        super().reset(fleet, functions, costs, rng)
        self.free = list(reversed(range(fleet.n_gpus)))
        self.waiting = []
        self.running = {}  # worker -> (what it runs, when that began, what was left of it then)
        self.preempted = set()
        self.kept = {}  # turn -> (worker, what is left there)

    def on_event(self, now_s, event, view):
        if isinstance(event, Arrival):
            new = self.arrive(now_s, event)
            self.waiting.append(new)
            if self.free:
                return [self.begin(now_s, self.free.pop())]
            others = [worker for worker in self.running if worker not in self.preempted]
            victim = max(others, key=lambda w: (self.rank(now_s, w), -w), default=None)
            if victim is None or self.expected_s[new.function] >= self.rank(now_s, victim):
                return []
            self.preempted.add(victim)
            return [Preempt(victim)]
        assert isinstance(event, Finished)
        one, _, _ = self.running[event.worker]
        if event.outcome is Outcome.PREEMPTED:
            self.kept[one.turn] = (event.worker, self.left_s(now_s, event.worker))
            self.waiting.append(one)
        del self.running[event.worker]
        self.preempted.discard(event.worker)
        if self.waiting:
            return [self.begin(now_s, event.worker)]
        self.free.append(event.worker)
        return []

    def left_s(self, now_s, worker):
        _, began_s, left_s = self.running[worker]
        return left_s - (now_s - began_s)

    def rank(self, now_s, worker):
        """What is left of what a worker runs, less what its age counts for."""
        return self.left_s(now_s, worker) - self.ageing * (now_s - self.running[worker][0].at_s)

    def begin(self, now_s, worker):
        def left_s(one):
            where, there_s = self.kept.get(one.turn, (None, None))
            return there_s if where == worker else self.expected_s[one.function]

        one = min(self.waiting, key=lambda w: (left_s(w) - self.ageing * (now_s - w.at_s), w.turn))
        self.waiting.remove(one)
        self.running[worker] = (one, now_s, left_s(one))
        self.kept.pop(one.turn, None)
        return Run(one.invocation, worker)
