"""Shortest first with ageing, earliest deadline and least slack: what waits is ranked anew at every dispatch."""

from math import inf

from tests.sim.policies.literal.pool import LiteralCentral


class LiteralShortest(LiteralCentral):
    def __init__(self, ageing):
        self.ageing = ageing

    def choose(self, now_s, worker):
        return min(self.waiting, key=lambda w: (self.expected_s[w.function] - self.ageing * (now_s - w.at_s), w.turn))


class LiteralDeadline(LiteralCentral):
    def __init__(self, default_s):
        self.default_s = default_s

    def choose(self, now_s, worker):
        return min(self.waiting, key=lambda w: (self.due_at_s(w), w.turn))

    def due_at_s(self, w):
        return w.at_s + self.default_s if w.due_at_s == inf else w.due_at_s


class LiteralSlack(LiteralDeadline):
    def choose(self, now_s, worker):
        return min(self.waiting, key=lambda w: (self.due_at_s(w) - now_s - self.expected_s[w.function], w.turn))
