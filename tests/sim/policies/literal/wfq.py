"""SFQ(D): tags of every invocation; the least start tag of all that wait."""

from tests.sim.policies.literal.pool import LiteralCentral


class LiteralFair(LiteralCentral):
    def __init__(self, favoured=0, weight=1.0):
        self.favoured, self.weight = favoured, weight

    def reset(self, fleet, functions, costs, rng):
        super().reset(fleet, functions, costs, rng)
        self.tags = {}  # invocation -> (start tag, finish tag)
        self.last = {}  # function -> finish tag of its last
        self.virtual = 0.0
        self.begun = [0.0]

    def came(self, now_s, new):
        start = max(self.virtual, self.last.get(new.function, 0.0))
        weight = self.weight if new.function < self.favoured else 1.0
        self.last[new.function] = start + self.expected_s[new.function] / weight
        self.tags[new.invocation] = (start, self.last[new.function])

    def choose(self, now_s, worker):
        return min(self.waiting, key=lambda w: (self.tags[w.invocation][0], w.function, w.turn))

    def left(self, now_s, chosen, worker):
        self.virtual, finish = self.tags[chosen.invocation]
        self.begun.append(finish)

    def ended(self, now_s, done, worker):
        if not self.waiting and not any(self.given):
            self.virtual = max(self.begun)
