"""The keep-alive policy against its rule as slow as it reads, and what must hold whatever happens."""

from __future__ import annotations

from math import inf

from hypothesis import given, settings
from hypothesis import strategies as st

from sim.domain import WorkerKind
from sim.policies.keepalive import KeepAlive
from sim.protocol import (
    Arrival,
    DeviceChanged,
    Finished,
    Outcome,
    Run,
    Start,
    Stop,
    Wake,
    Woke,
    WorkerStopped,
)
from tests.contract.scripted import FixedCosts, functions
from tests.sim.policies.shared_world import SharedWorld
from tests.support import scripted_fleet

SIZE = 8  # bytes of a device: small, so that workers are in each other's way
Quarters = st.integers(1, 12).map(lambda i: i / 4)
SCRIPTS = st.lists(st.tuples(st.integers(0, 60).map(lambda i: i / 4), st.integers(0, 4), Quarters), max_size=60).map(
    sorted
)
NEEDS = st.lists(st.integers(1, SIZE), min_size=5, max_size=5)
POLICIES = st.builds(
    KeepAlive,
    ttl=st.sampled_from([0.0, 0.75, 2.0, 1000.0]),
    reuse=st.sampled_from(["recent", "oldest"]),
    restart=st.sampled_from(["completion", "arrival"]),
    concurrency=st.sampled_from([1, 1, 3]),
)


class LiteralKeepAlive:
    """The rule step by step: looks at every worker and everything that waits at every event."""

    workers = (WorkerKind.EXCLUSIVE,)

    def __init__(self, policy):
        self.policy = policy
        self.needs = policy.needs

    def describe(self):
        return "literal keep-alive"

    def standing(self, fleet):
        return []

    def reset(self, fleet, functions, costs, rng):
        self.takes = [costs.memory_bytes(f.id) for f in functions]
        self.size = dict.fromkeys(range(fleet.n_gpus), fleet.device.memory_bytes)
        self.there = {}  # number -> worker
        self.n_started = self.n_freed = 0
        self.waiting = []  # (invocation, function)

    def on_event(self, now_s, event, view):
        self.now_s, self.actions = now_s, []
        if isinstance(event, Arrival):
            self.waiting.append((event.invocation, event.function))
        elif isinstance(event, Finished) and event.worker in self.there:
            worker = self.there[event.worker]
            worker["given"] -= 1
            self.n_freed += 1
            worker["freed"] = self.n_freed
            if not worker["given"]:
                worker["idle"] = self.n_freed
            if self.policy.restart == "completion":
                worker["until"] = now_s + self.policy.ttl
        elif isinstance(event, WorkerStopped):
            del self.there[event.worker]
        elif isinstance(event, DeviceChanged):
            self.size[event.device] = event.slots[0].memory_bytes if event.slots else -1
        if isinstance(event, Woke):
            over = [w for w in self.alive() if not w["given"] and w["until"] <= now_s]
            for worker in sorted(over, key=lambda w: (w["until"], w["number"])):
                self.stop(worker)
        else:
            self.waiting = [waits for waits in self.waiting if not self.serve(*waits)]
        expiries = [w["until"] for w in self.alive() if not w["given"]]
        if expiries:
            self.actions.append(Wake("expiry", min(expiries)))
        return self.actions

    def alive(self, slot=None):
        return [w for w in self.there.values() if not w["stopped"] and slot in (None, w["slot"])]

    def idle(self, slot=None):
        return sorted((w for w in self.alive(slot) if not w["given"]), key=lambda w: w["idle"])

    def serve(self, invocation, function):
        free = [w for w in self.alive() if w["function"] == function and w["given"] < self.policy.concurrency]
        if free:
            worker = (max if self.policy.reuse == "recent" else min)(free, key=lambda w: w["freed"])
        else:
            slot = self.choose(self.takes[function])
            if slot is None:
                return False
            while self.bytes_of(self.alive(slot)) + self.takes[function] > self.size[slot]:
                self.stop(self.idle(slot)[0])
            self.n_freed += 1
            worker = {
                "number": self.n_started, "function": function, "slot": slot, "given": 0, "until": inf,
                "stopped": False, "freed": self.n_freed,
            }  # fmt: skip
            self.there[self.n_started] = worker
            self.n_started += 1
            many = self.policy.concurrency
            self.actions.append(
                Start(worker["number"], slot, function, memory_bytes=self.takes[function], concurrency=many)
            )
        worker["given"] += 1
        if self.policy.restart == "arrival":
            worker["until"] = self.now_s + self.policy.ttl
        self.actions.append(Run(invocation, worker["number"]))
        return True

    def choose(self, need):
        """The slot for a worker."""
        free = {
            s: size - self.bytes_of(w for w in self.there.values() if w["slot"] == s) for s, size in self.size.items()
        }
        if max(free.values()) >= need:
            return max(free, key=free.__getitem__)
        not_busy = {s: size - self.bytes_of(w for w in self.alive(s) if w["given"]) for s, size in self.size.items()}
        if self.idle() and not_busy[self.idle()[0]["slot"]] >= need:
            return self.idle()[0]["slot"]
        most = max(not_busy, key=not_busy.__getitem__)
        return most if not_busy[most] >= need else None

    def bytes_of(self, workers):
        return sum(self.takes[w["function"]] for w in workers)

    def stop(self, worker):
        worker["stopped"] = True
        self.actions.append(Stop(worker["number"]))


def decisions(log):
    """What was decided, without timers, which the literal rule sets at every event."""
    told = [(now_s, event, [a for a in actions if not isinstance(a, Wake)]) for now_s, event, actions in log]
    return [entry for entry in told if entry[2] or not isinstance(entry[1], Woke)]


FAILURES = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2), st.integers(1, 12)), max_size=2).map(
    lambda drawn: [(at / 4 + 15 * n, device, (at + down) / 4 + 15 * n) for n, (at, device, down) in enumerate(drawn)]
)


@settings(max_examples=300)
@given(SCRIPTS, NEEDS, st.integers(1, 3), POLICIES, FAILURES)
def test_it_decides_as_the_literal_rule(script, needs, n_gpus, policy, failures):
    failures = [failure for failure in failures if failure[1] < n_gpus]
    one, other = (
        SharedWorld(brain, [SIZE] * n_gpus, needs, script, failures=failures).run()
        for brain in (policy, LiteralKeepAlive(policy))
    )
    assert decisions(one.log) == decisions(other.log)
    assert one.ended.keys() == set(range(len(script))), "an invocation has no end"
    assert not failures or not {Outcome.OK, Outcome.FAILED} - {*one.ended.values(), Outcome.OK, Outcome.FAILED}
    assert not one.workers, "a worker stayed for ever"


@given(SCRIPTS, NEEDS, st.integers(1, 3), POLICIES)
def test_nobody_waits_for_what_is_there(script, needs, n_gpus, policy):
    """After each event: a function's invocations are ordered as they came, none waits beside an idle worker of its
    function or for memory that is free or idle, and the memory of a device is never promised twice."""
    world = SharedWorld(policy, [SIZE] * n_gpus, needs, script)
    report = world.dispatcher.report
    last = {}

    def watched(now_s, event):
        actions = report(now_s, event)
        for action in actions:
            if isinstance(action, Run):
                function = script[action.invocation][1]
                assert last.get(function, -1) < action.invocation
                last[function] = action.invocation
        there = world.dispatcher.workers.values()
        kept = [w for w in there if not w.stopping]
        for slot in range(n_gpus):
            assert sum(needs[w.function] for w in kept if w.device == slot) <= SIZE
        for function in world.dispatcher.waiting.values():
            assert all(w.outstanding >= policy.concurrency for w in kept if w.function == function)
            for slot in range(n_gpus):
                busy = sum(needs[w.function] for w in kept if w.device == slot and w.outstanding)
                assert busy + needs[function] > SIZE
        return actions

    world.dispatcher.report = watched
    world.run()


def told(policy, needs, n_gpus=1, size=SIZE):
    """A policy, and what it answers to events."""
    policy.reset(scripted_fleet(n_gpus, size), functions(len(needs)), FixedCosts([1.0] * len(needs), needs), None)
    return lambda now_s, event: list(policy.on_event(now_s, event, None))
