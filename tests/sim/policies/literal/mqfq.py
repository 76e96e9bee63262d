"""MQFQ: every flow's state is computed anew for each token."""

from sim.domain import Role
from sim.protocol import Arrival, Finished, Run
from tests.sim.policies.literal.pool import LiteralPool


class Flow:
    def __init__(self, number):
        self.number = number
        self.items = []  # (invocation, start tag, finish tag)
        self.start = self.finish = 0.0
        self.in_flight = 0
        self.measured_s = []


class LiteralMqfq(LiteralPool):
    def __init__(self, overrun=10.0, service=0.0, d=1, choice="warm", select=0, held=32):
        self.overrun, self.service, self.d, self.choice = overrun, service, d, choice
        self.wanted, self.most = select, held

    def reset(self, fleet, functions, costs, rng):
        super().reset(fleet, functions, costs, rng)
        self.flows = [Flow(f.id) for f in functions]
        self.virtual = 0.0
        self.held = [[] for _ in self.given]  # functions of each worker, the latest last
        self.room = fleet.memory_bytes
        self.size = [f.graph.bytes_of(Role.CONSTANT) for f in functions]
        self.ended_s = [0.0] * len(self.given)
        self.longest = list(range(len(self.given)))  # workers, that whose load changed longest ago first
        self.sticky = None

    def renew(self):
        """Virtual time is the least start tag of flows with work, and stays when there is none."""
        self.virtual = min((flow.start for flow in self.flows if flow.items), default=self.virtual)

    def on_event(self, now_s, event, view):
        if isinstance(event, Arrival):
            flow = self.flows[event.function]
            start = max(self.virtual, flow.finish)
            finish = start + self.service_s(flow)
            flow.items.append((event.invocation, start, finish))
            flow.finish = max(flow.finish, finish)
            if len(flow.items) == 1:
                flow.start = max(flow.start, start)
            self.renew()
        elif isinstance(event, Finished):
            (invocation, number, at_s) = self.given[event.worker].pop(0)
            assert invocation == event.invocation
            self.flows[number].in_flight -= 1
            self.flows[number].measured_s.append(now_s - max(at_s, self.ended_s[event.worker]))
            self.ended_s[event.worker] = now_s
            self.touch(event.worker)
        actions = []
        while any(flow.items for flow in self.flows):
            worker = min(self.longest, key=lambda w: len(self.given[w]))
            if len(self.given[worker]) >= self.d:
                break
            self.renew()
            active = [flow for flow in self.flows if flow.items and flow.start - self.virtual <= self.overrun]
            flow = getattr(self, self.choice)(active, worker)
            invocation, _, _ = flow.items.pop(0)
            flow.in_flight += 1
            flow.start = flow.items[0][1] if flow.items else flow.finish
            self.renew()
            self.given[worker].append((invocation, flow.number, now_s))
            self.touch(worker)
            self.hold(worker, flow.number)
            actions.append(Run(invocation, worker))
        return actions

    def hold(self, worker, function):
        held = self.held[worker] = [f for f in self.held[worker] if f != function] + [function]
        while len(held) > 1 and (len(held) > self.most or sum(self.size[f] for f in held) > self.room[worker]):
            held.pop(0)

    def touch(self, worker):
        self.longest.remove(worker)
        self.longest.append(worker)

    def service_s(self, flow):
        if self.service:
            return self.service
        return sum(flow.measured_s) / len(flow.measured_s) if flow.measured_s else self.overrun / 10

    def least(self, active, worker):
        return min(active, key=lambda flow: (flow.start, flow.number))

    def warm(self, active, worker):
        return self.least([f for f in active if f.number in self.held[worker]] or active, worker)

    def same(self, active, worker):
        self.sticky = self.sticky if self.sticky in active else self.least(active, worker)
        return self.sticky

    def select_out_len(self, active, worker):
        k = max(self.d * len(self.given), self.wanted)
        deepest = sorted(active, key=lambda flow: (-flow.finish, flow.number))[:k]
        longest = sorted(deepest, key=lambda flow: (-len(flow.items), flow.number))
        return min(longest, key=lambda flow: flow.in_flight)
