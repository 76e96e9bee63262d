"""d different workers are drawn, one after the other; the shortest queue among them, the first drawn of equals."""

from tests.sim.policies.literal.pool import LiteralEarly


class LiteralPowerOfD(LiteralEarly):
    def __init__(self, d):
        self.d = d

    def reset(self, fleet, functions, costs, rng):
        super().reset(fleet, functions, costs, rng)
        self.numbers = rng.random(4096).tolist()

    def choose(self, now_s, new):
        drawn = []
        while len(drawn) < min(self.d, len(self.given)):
            worker = int(self.numbers.pop(0) * len(self.given))
            if worker not in drawn:
                drawn.append(worker)
        shortest = min(len(self.given[worker]) for worker in drawn)
        return next(worker for worker in drawn if len(self.given[worker]) == shortest)
