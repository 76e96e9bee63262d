"""The literal rules of the KaaS pools, as slow as they read: oracles for the policies and for the cache."""

from __future__ import annotations

from collections import OrderedDict, deque

import numpy as np

from sim.domain import WorkerKind
from sim.policies.placement import assign_devices, buckets, memory_shares
from sim.protocol import ANY_DEVICE, Arrival, Finished, Run, Standing, Start, Stop


def affinity_buckets(fleet, functions, costs):
    """The affinity assignment: (bucket of each function, bucket of each device)."""
    turns = assign_devices(fleet.n_gpus, memory_shares(fleet, functions, costs))
    return buckets(fleet.n_gpus, len(functions), turns)


def literal_assignment(n_gpus, shares):
    """The benchmark server's affinity assignment: the GPU of each worker, by a scan with a running pick."""
    n_workers, utilisation = [0] * n_gpus, [0.0] * n_gpus
    assigned = []
    while len(assigned) < n_gpus:  # further passes until workers >= GPUs
        for share in shares:
            if assigned and len(assigned) >= max(n_gpus, len(shares)):
                break
            pick, feasible = 0, False
            for gpu in range(n_gpus):
                if utilisation[gpu] + share <= 1:
                    feasible = True
                    if n_workers[gpu] < n_workers[pick] or utilisation[gpu] < utilisation[pick]:
                        pick = gpu
            if not feasible:  # oversubscribe
                pick = min(range(n_gpus), key=lambda gpu: utilisation[gpu])
            assigned.append(pick)
            n_workers[pick] += 1
            utilisation[pick] += share
    return assigned


class LiteralAffinity:
    """CFS affinity pool, step by step: scans every group for every free worker."""

    workers = (WorkerKind.KAAS,)
    needs = frozenset()

    def __init__(self, penalty=10.0):
        self.penalty = penalty

    def describe(self):
        return "literal affinity"

    def standing(self, fleet):
        return [Standing(device, -1) for device in range(fleet.n_gpus)]

    def reset(self, fleet, functions, costs, rng):
        in_bucket, of_device = affinity_buckets(fleet, functions, costs)
        self.groups = OrderedDict((f, deque()) for f in range(len(functions)))
        self.vtime = dict.fromkeys(self.groups, 0.0)
        self.weight = {f: float(np.float32(1e3 * costs.expected_s(f))) for f in self.groups}
        self.affine = {f: {d for d in range(fleet.n_gpus) if of_device[d] == in_bucket[f]} for f in self.groups}
        self.base = 0.0
        self.free = list(range(fleet.n_gpus))

    def on_event(self, now_s, event, view):
        if isinstance(event, Finished):
            self.free.append(event.worker)
        elif isinstance(event, Arrival):
            if not self.groups[event.function]:
                self.vtime[event.function] = self.base
            self.groups[event.function].append(event.invocation)
        actions = []
        while self.free and any(self.groups.values()):
            worker = self.free.pop(0)
            best, best_time = None, None
            for group, queue in self.groups.items():
                if queue:
                    foreign = worker not in self.affine[group]
                    effective = self.vtime[group] + (self.penalty * self.weight[group] if foreign else 0.0)
                    if best is None or effective < best_time:
                        best, best_time = group, effective
            self.base = min(self.vtime[g] for g, queue in self.groups.items() if queue)
            self.vtime[best] += self.weight[best]
            self.groups.move_to_end(best)
            actions.append(Run(self.groups[best].popleft(), worker))
        return actions


class LiteralExclusive:
    """Exclusive pool, step by step: scans the whole pending list at every event."""

    workers = (WorkerKind.EXCLUSIVE,)
    needs = frozenset()

    def describe(self):
        return "literal exclusive"

    def standing(self, fleet):
        return []

    def reset(self, fleet, functions, costs, rng):
        self.n = fleet.n_gpus
        self.groups = OrderedDict((f, []) for f in range(len(functions)))  # workers, in order of creation
        self.free = {f: [] for f in self.groups}
        self.owner = {}
        self.pending = []
        self.created = 0
        self.given = {}  # worker -> number of the order that gave it its last invocation
        self.n_given = 0

    def on_event(self, now_s, event, view):
        if isinstance(event, Finished):
            if event.worker in self.owner:
                self.free[self.owner[event.worker]].append(event.worker)
        elif isinstance(event, Arrival):
            self.pending.append((event.invocation, event.function))
        else:
            return []  # the pool does not hear of its workers' starts and ends
        actions, blocked, left = [], set(), []
        for invocation, group in self.pending:
            worker = None if group in blocked else self.find(group, actions)
            if worker is None:
                blocked.add(group)
                left.append((invocation, group))
            else:
                actions.append(Run(invocation, worker))
                self.n_given += 1
                self.given[worker] = self.n_given
        self.pending = left
        return actions

    def find(self, group, actions):
        if self.free[group]:
            return self.free[group].pop()
        if len(self.owner) < self.n:
            return self.create(group, actions)
        victim = max(self.groups, key=lambda g: len(self.groups[g]))  # the first of the largest
        own = len(self.groups[group])
        if own == 0 or own + 1 < len(self.groups[victim]):
            idle = self.free[victim]
            worker = idle.pop() if idle else self.last_given(victim)
            self.groups[victim].remove(worker)
            self.groups.move_to_end(victim)
            del self.owner[worker]
            actions.append(Stop(worker))
            return self.create(group, actions)
        return None

    def last_given(self, victim):
        """The busy worker that was given its work last."""
        return max((w for w in self.groups[victim] if w not in self.free[victim]), key=lambda w: self.given[w])

    def create(self, group, actions):
        worker = self.created
        self.created += 1
        self.groups[group].append(worker)
        self.owner[worker] = group
        actions.append(Start(worker, ANY_DEVICE, group))
        return worker


class LiteralCache:
    """Buffer by buffer: two LRU lists of unpinned buffers, "const" for those used more than twice."""

    def __init__(self, capacity, keep_headroom):
        self.capacity = capacity
        self.keep_headroom = keep_headroom
        self.resident = {}
        self.uses = {}
        self.other, self.const = OrderedDict(), OrderedDict()
        self.scratch = 0

    def request(self, key, sizes, scratch):
        """Pin a request's buffers, evict for the rest, load: (loaded, evicted) as lists of (key, index)."""
        mine = [(key, i) for i in range(len(sizes))]
        for buffer in mine:
            self.other.pop(buffer, None)
            self.const.pop(buffer, None)
        missing = [b for b in mine if b not in self.resident]
        need = sum(sizes[i] for _, i in missing) + scratch
        if self.keep_headroom:
            need += max((sizes[i] for k, i in mine if (k, i) in self.resident), default=0)
        evicted = []
        while self.capacity - sum(self.resident.values()) - self.scratch < need and (self.other or self.const):
            victim, _ = (self.other or self.const).popitem(last=False)
            del self.resident[victim]
            evicted.append(victim)
        for k, i in missing:
            self.resident[k, i] = sizes[i]
        self.scratch += scratch
        return missing, evicted

    def release(self, key, sizes, scratch):
        self.scratch -= scratch
        for i in range(len(sizes)):
            self.uses[key, i] = self.uses.get((key, i), 0) + 1
            self.list_of(self.uses[key, i])[key, i] = None

    def list_of(self, uses):
        return self.const if uses > 2 else self.other


class LiteralLru(LiteralCache):
    """Buffer by buffer: one LRU list of unpinned buffers."""

    def list_of(self, uses):
        return self.other
