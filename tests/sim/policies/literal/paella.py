"""Deficits of every active function, counted one by one."""

from sim.policies.paella import _ONE
from tests.sim.policies.literal.pool import LiteralCentral


class LiteralPaella(LiteralCentral):
    def __init__(self, threshold=25.0):
        self.threshold = threshold

    def reset(self, fleet, functions, costs, rng):
        super().reset(fleet, functions, costs, rng)
        self.deficit = {}

    def came(self, now_s, new):
        self.deficit.setdefault(new.function, 0)

    def choose(self, now_s, worker):
        poorest = min(self.deficit, key=lambda f: (-self.deficit[f], f))
        if self.deficit[poorest] < self.threshold * _ONE:
            poorest = min(self.deficit, key=lambda f: (self.expected_s[f], f))
        return next(w for w in self.waiting if w.function == poorest)

    def left(self, now_s, chosen, worker):
        part = _ONE // len(self.deficit)
        for function in self.deficit:
            self.deficit[function] += part
        self.deficit[chosen.function] -= _ONE
        if not any(w.function == chosen.function for w in self.waiting):
            del self.deficit[chosen.function]
