"""LALB with O3: each invocation counts how often it was passed over; GPUs keep the functions that they ran last."""

from sim.domain import Role
from sim.protocol import Arrival, Finished, Run
from tests.sim.policies.literal.pool import LiteralPool


class LiteralLocality(LiteralPool):
    def __init__(self, skips=25, bandwidth=12e9, held=32):
        self.skips, self.bandwidth, self.most = skips, bandwidth, held

    def reset(self, fleet, functions, costs, rng):
        super().reset(fleet, functions, costs, rng)
        self.room = fleet.memory_bytes
        self.size = [f.graph.bytes_of(Role.CONSTANT) for f in functions]
        self.free = list(range(len(self.given)))
        self.holds = [[] for _ in self.given]  # the least recently used first
        self.done_s = [0.0] * len(self.given)
        self.last = {}
        self.waiting, self.skipped = [], {}

    def on_event(self, now_s, event, view):
        actions = []
        if isinstance(event, Arrival):
            new = self.arrive(now_s, event)
            self.waiting.append(new)
            self.skipped[new.turn] = 0
            if self.free:
                warm = [gpu for gpu in sorted(self.free) if new.function in self.holds[gpu]]
                busy = self.busy(now_s, new)
                self.give(now_s, warm[0] if warm else self.free[0] if busy is None else busy, new, actions)
        elif isinstance(event, Finished):
            self.given[event.worker].pop(0)
            left_s = [expected_s for _, expected_s in self.given[event.worker]]
            self.done_s[event.worker] = now_s + sum(left_s)
            if not left_s:
                self.free.append(event.worker)
                self.serve(now_s, event.worker, actions)
        return actions

    def serve(self, now_s, gpu, actions):
        while self.waiting and gpu in self.free:
            head = self.waiting[0]
            hits = [w for w in self.waiting if w.function in self.holds[gpu]]
            if hits and self.skipped[head.turn] < self.skips:
                for older in self.waiting[: self.waiting.index(hits[0])]:
                    self.skipped[older.turn] += 1
                self.give(now_s, gpu, hits[0], actions)
                continue
            busy = None if head.function in self.holds[gpu] else self.busy(now_s, head)
            self.give(now_s, gpu if busy is None else busy, head, actions)

    def busy(self, now_s, new):
        gpu = self.last.get(new.function)
        if gpu is None or gpu in self.free or new.function not in self.holds[gpu]:
            return None
        return gpu if max(0.0, self.done_s[gpu] - now_s) < self.size[new.function] / self.bandwidth else None

    def give(self, now_s, gpu, chosen, actions):
        self.waiting.remove(chosen)
        function, holds = chosen.function, self.holds[gpu]
        load_s = 0.0 if function in holds else self.size[function] / self.bandwidth
        expected_s = self.expected_s[function] + load_s
        self.done_s[gpu] = (max(now_s, self.done_s[gpu]) if self.given[gpu] else now_s) + expected_s
        self.given[gpu].append((chosen, expected_s))
        if gpu in self.free:
            self.free.remove(gpu)
        if function in holds:
            holds.remove(function)
        holds.append(function)
        while len(holds) > 1 and (len(holds) > self.most or sum(self.size[f] for f in holds) > self.room[gpu]):
            holds.pop(0)
        self.last[function] = gpu
        actions.append(Run(chosen.invocation, gpu))
