"""The keep-alive policy against its rule as slow as it reads, and what must hold whatever happens."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.domain import DeviceSpec, FleetSpec, NodeSpec, WorkerKind
from sim.errors import ScenarioError
from sim.policies import make_policy
from sim.policies.keepalive import KeepAlive
from sim.policies.least import Least
from sim.protocol import (
    Arrival,
    DeviceChanged,
    Finished,
    Need,
    Outcome,
    Run,
    Slot,
    Start,
    Stop,
    Wake,
    Woke,
    WorkerStopped,
)
from tests.contract.scripted import FixedCosts, functions
from tests.sim.policies.shared_world import SharedWorld

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
            if isinstance(event, Finished):
                self.fill({w["function"] for w in self.alive() if w["number"] == event.worker})
            for invocation, function in list(self.waiting):
                if (invocation, function) in self.waiting and self.serve(invocation, function):
                    self.waiting.remove((invocation, function))
                    self.fill({function})
        expiries = [w["until"] for w in self.alive() if not w["given"]]
        if expiries:
            self.actions.append(Wake("expiry", min(expiries)))
        return self.actions

    def fill(self, functions):
        """Workers take what waits of their own function."""
        for invocation, function in list(self.waiting):
            if function in functions and self.free(function):
                self.serve(invocation, function)
                self.waiting.remove((invocation, function))

    def free(self, function):
        return [w for w in self.alive() if w["function"] == function and w["given"] < self.policy.concurrency]

    def alive(self, slot=None):
        return [w for w in self.there.values() if not w["stopped"] and slot in (None, w["slot"])]

    def idle(self, slot=None):
        return sorted((w for w in self.alive(slot) if not w["given"]), key=lambda w: w["idle"])

    def serve(self, invocation, function):
        free = self.free(function)
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

DEATHS = st.lists(st.tuples(st.integers(0, 60).map(lambda i: i / 4), st.integers(0, 9)), max_size=3)


@settings(max_examples=300)
@given(SCRIPTS, NEEDS, st.integers(1, 3), POLICIES, FAILURES, DEATHS)
def test_it_decides_as_the_literal_rule(script, needs, n_gpus, policy, failures, deaths):
    failures = [failure for failure in failures if failure[1] < n_gpus]
    one, other = (
        SharedWorld(brain, [SIZE] * n_gpus, needs, script, failures=failures, deaths=deaths).run()
        for brain in (policy, LiteralKeepAlive(policy))
    )
    assert decisions(one.log) == decisions(other.log)
    assert one.ended.keys() == set(range(len(script))), "an invocation has no end"
    assert failures or deaths or set(one.ended.values()) <= {Outcome.OK}
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


def answering(policy, needs, n_gpus=1):
    """A fresh policy: what it answers to the event of an instant."""
    fleet = FleetSpec(DeviceSpec("scripted", SIZE), n_gpus)
    policy.reset(fleet, functions(len(needs)), FixedCosts([1.0] * len(needs), needs), None)
    return lambda now_s, event: list(policy.on_event(now_s, event, None))


def test_the_timer_is_set_once_and_looks_again_when_it_rings():
    tell = answering(KeepAlive(ttl=10.0), [1, 1])
    tell(0.0, Arrival(0, 0))
    assert tell(1.0, Finished(0, 0)) == [Wake("expiry", 11.0)]
    for number, now_s in enumerate((2.0, 4.0, 6.0), 1):
        assert tell(now_s, Arrival(number, 0)) == [Run(number, 0)]
        assert tell(now_s + 1, Finished(number, 0)) == [], "the timer that is set comes first"
    assert tell(11.0, Woke("expiry")) == [Wake("expiry", 17.0)]
    assert tell(17.0, Arrival(4, 0)) == [Run(4, 0)], "at its last instant a worker is warm"
    assert tell(17.0, Woke("expiry")) == []
    assert tell(18.0, Finished(4, 0)) == [Wake("expiry", 28.0)]
    assert tell(28.0, Woke("expiry")) == [Stop(0)]


def test_a_timer_that_counts_from_the_arrival_never_ends_a_busy_worker():
    tell = answering(KeepAlive(ttl=10.0, restart="arrival"), [1])
    tell(0.0, Arrival(0, 0))
    assert tell(3.0, Finished(0, 0)) == [Wake("expiry", 10.0)]
    assert tell(9.0, Arrival(1, 0)) == [Run(1, 0)]
    assert tell(10.0, Woke("expiry")) == []
    assert tell(30.0, Finished(1, 0)) == [Wake("expiry", 19.0)]
    assert tell(30.0, Woke("expiry")) == [Stop(0)]


def test_a_worker_goes_where_most_memory_is_free_and_the_longest_idle_make_room():
    tell = answering(KeepAlive(), [3, 3, 6, 8], n_gpus=2)
    started = [tell(float(n), Arrival(n, n % 2))[0] for n in range(4)]
    assert [start.device for start in started] == [0, 1, 0, 1]
    for n, worker in enumerate((1, 2, 0)):
        tell(10.0 + n, Finished(worker, worker))
    # Worker 1 on GPU 1 is idle longest, and 2 bytes are free there: with its 3 that is enough for 3 and not for 6.
    assert tell(20.0, Arrival(4, 3)) == [Stop(2), Stop(0), Start(4, 0, 3, memory_bytes=8), Run(4, 4)]
    assert tell(21.0, Arrival(5, 2)) == [], "GPU 1 has 5 bytes that are not busy"
    assert tell(22.0, Finished(3, 3)) == [Stop(1), Stop(3), Start(5, 1, 2, memory_bytes=6), Run(5, 5)]


def test_who_waits_longest_is_served_first_if_there_is_enough_for_it():
    tell = answering(KeepAlive(), [4, 4, 8])
    for n, function in enumerate((0, 1)):
        tell(0.0, Arrival(n, function))
    for n, function in enumerate((2, 0, 1, 1), 2):
        assert tell(1.0, Arrival(n, function)) == []
    assert tell(2.0, Finished(0, 0)) == [Run(3, 0)], "half a GPU is not enough for the eldest"
    assert tell(3.0, Finished(1, 1)) == [Run(4, 1)]
    assert tell(4.0, Finished(3, 0)) == [Stop(0), Start(2, 0, 1, memory_bytes=4), Run(5, 2)]
    tell(5.0, Finished(4, 1))
    assert tell(6.0, Finished(5, 2)) == [Stop(1), Stop(2), Start(3, 0, 2, memory_bytes=8), Run(2, 3)]


def test_a_worker_takes_what_waits_of_its_own_function_before_it_makes_room_for_others():
    tell = answering(KeepAlive(), [SIZE, SIZE])
    for n, function in enumerate((0, 1, 0)):
        tell(0.0, Arrival(n, function))
    assert tell(1.0, Finished(0, 0)) == [Run(2, 0)]
    assert tell(2.0, Finished(2, 0)) == [Stop(0), Start(1, 0, 1, memory_bytes=SIZE), Run(1, 1)]


def test_what_a_device_that_failed_had_is_forgotten_and_nothing_is_ordered_there():
    tell = answering(KeepAlive(), [4, 4], n_gpus=2)
    for n, function in enumerate((0, 1, 1)):
        tell(0.0, Arrival(n, function))
    tell(1.0, Finished(0, 0))
    assert tell(2.0, DeviceChanged(0, ())) == []
    assert tell(2.0, WorkerStopped(0, died=True)) == tell(2.0, WorkerStopped(2, died=True)) == []
    assert tell(2.0, Finished(2, 2, Outcome.FAILED)) == []
    assert tell(3.0, Arrival(3, 0)) == [Start(3, 1, 0, memory_bytes=4), Run(3, 3)]
    assert tell(4.0, Arrival(4, 0)) == []
    assert tell(5.0, DeviceChanged(0, (Slot(0, SIZE),))) == [Start(4, 0, 0, memory_bytes=4), Run(4, 4)]


def test_gpus_of_different_size_and_those_that_are_not_there_yet():
    small, large = (NodeSpec(DeviceSpec("scripted", size), 1) for size in (4, 8))
    fleet = FleetSpec.of_nodes([replace(large, standby=True), small, large], 0.0)
    policy = KeepAlive()
    policy.reset(fleet, functions(1), FixedCosts([1.0], [3]), None)
    started = [policy.on_event(0.0, Arrival(n, 0), None)[:1] for n in range(4)]
    assert [start.device for starts in started for start in starts] == [2, 2, 1]
    assert policy.on_event(1.0, DeviceChanged(0, (Slot(0, 8),)), None)[0].device == 0


def test_instances_of_a_partitioned_device_are_slots_with_rooms_of_their_own():
    tell = answering(KeepAlive(), [2, 5])
    assert tell(0.0, DeviceChanged(0, (Slot(1, 3), Slot(2, 2)))) == []
    assert [tell(1.0, Arrival(n, 0))[0].device for n in range(2)] == [1, 2]
    assert tell(2.0, Arrival(2, 1)) == []
    tell(3.0, Finished(0, 0))
    assert tell(4.0, DeviceChanged(0, (Slot(0, SIZE),)))[-1] == Run(2, 2)


def test_a_worker_with_concurrency_takes_as_many_while_it_starts():
    policy = make_policy("keepalive[concurrency=2]")
    assert policy.needs == {Need.TIMERS, Need.SHARED_DEVICES, Need.CONCURRENCY}
    assert KeepAlive().needs == {Need.TIMERS, Need.SHARED_DEVICES}
    tell = answering(policy, [SIZE])
    assert tell(0.0, Arrival(0, 0)) == [Start(0, 0, 0, memory_bytes=SIZE, concurrency=2), Run(0, 0)]
    assert tell(0.0, Arrival(1, 0)) == [Run(1, 0)]
    assert tell(0.0, Arrival(2, 0)) == []
    assert tell(1.0, Finished(1, 0)) == [Run(2, 0)]


@pytest.mark.parametrize(("reuse", "worker"), [("recent", 0), ("oldest", 1)])
def test_of_workers_with_room_the_one_that_finished_last_is_the_most_recent(reuse, worker):
    tell = answering(KeepAlive(concurrency=3, reuse=reuse), [4])
    for n in range(6):
        tell(0.0, Arrival(n, 0))
    for n, number in enumerate((0, 1, 0)):
        tell(1.0 + n, Finished(3 * number + n, number))
    assert tell(9.0, Arrival(6, 0)) == [Run(6, worker)]


def test_a_worker_that_died_leaves_its_memory_to_who_waits():
    tell = answering(KeepAlive(), [SIZE])
    tell(0.0, Arrival(0, 0))
    assert tell(1.0, Arrival(1, 0)) == []
    assert tell(2.0, WorkerStopped(0, died=True)) == [Start(1, 0, 0, memory_bytes=SIZE), Run(1, 1)]
    assert tell(2.0, Finished(0, 0, Outcome.FAILED)) == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("keepalive[reuse=newest]", r"'keepalive\[reuse=newest\]': reuse is 'newest', must be one of recent, oldest"),
        ("keepalive[restart=]", r"restart is '=', must be one of completion, arrival"),
        ("keepalive[ttl=-1]", r"ttl is -1\.0, must be a number of seconds, at least 0"),
        ("keepalive[ttl=nan]", r"ttl is nan, must be a number of seconds, at least 0"),
        ("keepalive[ttl=recent]", r"ttl is 'recent', must be a number"),
        ("keepalive[concurrency=0]", r"concurrency is 0, must be at least 1"),
    ],
)
def test_a_wrong_parameter_is_refused_with_the_rule(text, complaint):
    with pytest.raises(ScenarioError, match=complaint):
        make_policy(text)


def test_words_are_told_and_read_as_they_are_typed():
    told = make_policy("keepalive[reuse=oldest,ttl=60]").describe()
    assert told == "keepalive[ttl=60,reuse=oldest,restart=completion,concurrency=1]"
    assert make_policy(told) == KeepAlive(ttl=60, reuse="oldest")


def test_a_function_that_is_larger_than_a_gpu_is_refused():
    with pytest.raises(ScenarioError, match=r"keepalive: a worker of f1 takes 9 B; a GPU has 8 B"):
        answering(KeepAlive(), [SIZE, SIZE + 1])


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20), st.lists(st.tuples(st.integers(0, 19), st.integers(0, 9))))
def test_the_least_is_found_wherever_it_is(numbers, changes):
    least = Least(numbers)
    for place, number in [(0, numbers[0]), *changes]:
        if place < len(numbers):
            numbers[place] = number
            least.set(place, number)
        pairs = [(number, place) for place, number in enumerate(numbers)]
        assert least.find() == min(pairs)
        for n in range(len(numbers) + 2):
            assert least.find_below(n) == min(pairs[:n], default=(inf, -1))
