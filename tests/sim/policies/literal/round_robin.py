"""A pointer modulo the number of workers."""

from tests.sim.policies.literal.pool import LiteralEarly


class LiteralRoundRobin(LiteralEarly):
    def choose(self, now_s, new):
        return (new.turn - 1) % len(self.given)
