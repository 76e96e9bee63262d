"""Clockwise from the function's place: the first place of a device that has room, by a walk over all places."""

from math import ceil

from sim.policies.ch_bl import place
from tests.sim.policies.literal.pool import LiteralEarly


class LiteralHashing(LiteralEarly):
    def __init__(self, load=1.25, nodes=3):
        self.load, self.nodes = load, nodes

    def choose(self, now_s, new):
        n = len(self.given)
        room = ceil(self.load * (sum(map(len, self.given)) + 1) / n)
        begin = place(f"function {self.functions[new.function].key}")
        places = [(place(f"device {device} {node}"), device) for device in range(n) for node in range(self.nodes)]
        clockwise = sorted(places, key=lambda at: ((at[0] - begin) % 2**64, at[1]))
        return next(device for _, device in clockwise if len(self.given[device]) < room)
