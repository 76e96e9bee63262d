"""Which orders are possible: what the dispatcher holds a policy to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import inf, isnan
from typing import Any

from sim.belief import Belief, WorkerBelief
from sim.domain import WorkerKind
from sim.errors import PolicyError, ScenarioError
from sim.models.mig.placement import fit
from sim.models.mig.profiles import table_of
from sim.protocol import (
    ANY_DEVICE,
    EVERY_FUNCTION,
    Action,
    Evict,
    Load,
    Need,
    Partition,
    Policy,
    Preempt,
    Reject,
    Run,
    Scale,
    Standing,
    Start,
    Stop,
    Wake,
    kind_of,
)
from sim.text import shown


class Rules:
    """The rules for the orders of a policy, given what is believed. Each answers why an order is refused, or ""."""

    def __init__(self, belief: Belief, policy: Policy, n_functions: int) -> None:
        self._belief = belief
        self._policy = policy
        self._n_functions = n_functions
        self._rules: dict[type, tuple[Need | None, Callable[[Any], str]]] = {
            Start: (None, self._start),
            Stop: (None, self._stop),
            Load: (Need.RESIDENCY, self._residency),
            Evict: (Need.RESIDENCY, self._residency),
            Preempt: (Need.PREEMPTION, self._preempt),
            Partition: (Need.PARTITIONS, self._partition),
            Scale: (Need.SCALING, self._scale),
            Reject: (None, self._reject),
            Wake: (Need.TIMERS, self._wake),
        }

    def against(self, action: Action) -> str:
        """Why an order that is no Run can't be carried out."""
        found = self._rules.get(type(action))
        if found is None:
            return "it is no action"
        need, rule = found
        if need is not None and (why := self._without(need)):
            return why
        return rule(action)

    def against_run(self, order: Run, function: int) -> str:
        """Why an invocation can't be run as it is ordered, though it waits, on a worker that could run it."""
        if order.latest_s != inf and (why := self._without(Need.LATEST)):
            return why
        if not order.others:
            return ""
        if len({order.invocation, *order.others}) <= len(order.others):
            return "an invocation is twice in its batch"
        for other in order.others:
            if self._belief.waiting.get(other) != function:
                return f"invocation {other} of its batch is not waiting, or of another function"
        return self._without(Need.BATCHES)

    def why_not_run(self, order: Run, worker: WorkerBelief | None, function: int | None) -> str:
        """Why an invocation can't run on a worker."""
        if worker is None:
            return f"there is no worker {order.worker}"
        if function is None:
            holder = self._belief.running.get(order.invocation)
            where = "unknown or over" if holder is None else f"with worker {holder}"
            return f"invocation {order.invocation} is not waiting but {where}"
        if worker.stopping:
            return f"worker {order.worker} is being stopped"
        return f"invocation {order.invocation} is of function {function}, worker {order.worker} is a {worker}"

    def check_standing(self, standing: Any) -> None:
        """Raise PolicyError when these workers can't be there from the beginning."""
        policy = self._policy
        if not isinstance(standing, tuple | list) or not all(isinstance(w, Standing) for w in standing):
            why = "they must be a list or tuple of sim.protocol.Standing"
            raise PolicyError(f"{policy.describe()} begins with {shown(standing)}, refused: {why}")
        n_on_device = Counter(worker.device for worker in standing)
        for worker in standing:
            why = self._not_on(worker.device) or self._not_such(worker)
            alone = worker.kind is not WorkerKind.KAAS or worker.memory_bytes is not None
            if not why and not alone and (worker.share < 1 or n_on_device[worker.device] > 1):
                why = "a KaaS executor without memory_bytes has a device to itself"
            if why:
                raise PolicyError(f"{policy.describe()} begins with {worker}, refused: {why}")

    # The rules

    def _start(self, order: Start) -> str:
        if order.worker != self._belief.n_started:
            return f"the next worker must have the number {self._belief.n_started}"
        if why := (order.device != ANY_DEVICE and self._not_on(order.device, ", or -1 for any")) or self._not_such(
            order
        ):
            return why
        if order.function == EVERY_FUNCTION and (why := self._without(Need.EXECUTORS)):
            return why
        if order.memory_bytes is None:
            return "a part of the multiprocessors goes with a part of the memory" if order.share < 1 else ""
        return self._without(Need.SHARED_DEVICES)

    def _not_on(self, number: int, more: str = "") -> str:
        if self._belief.slot(number) is not None:
            return ""
        n = self._belief.n_devices
        if 0 <= number < n or (number >= n and self._belief.slot(number % n) is None):
            return f"device {number % n} has no slot {number} now"
        return f"the devices are 0 to {n - 1}{more}"

    def _not_such(self, worker: Standing | Start) -> str:
        kind = kind_of(worker.function)
        if kind not in self._policy.workers:
            kinds = " and ".join(kind.value for kind in self._policy.workers)
            return f"a worker of this policy is {kinds}, not {kind.value}"
        if worker.function != EVERY_FUNCTION and not 0 <= worker.function < self._n_functions:
            return f"the functions are 0 to {self._n_functions - 1}"
        if not 0 < worker.share <= 1:
            return "a share is above 0 and at most 1"
        if worker.memory_bytes is not None:
            slot = self._belief.slot(worker.device) or self._belief.slot(0)
            if not 0 < worker.memory_bytes <= (inf if slot is None else slot.memory_bytes):
                return f"its memory must be above 0 and at most {0 if slot is None else slot.memory_bytes:,} bytes"
        if worker.concurrency < 1:
            return "a worker runs at least 1 invocation at once"
        if worker.concurrency > 1 and kind is WorkerKind.KAAS:
            return "a KaaS executor runs one graph at a time"
        return self._without(Need.CONCURRENCY) if worker.concurrency > 1 else ""

    def _stop(self, order: Stop) -> str:
        if why := self._no_worker(order.worker):
            return why
        worker = self._belief.workers[order.worker]
        if worker.stopping:
            return "it is being stopped already"
        return self._without(Need.EXECUTORS) if worker.function == EVERY_FUNCTION else ""

    def _residency(self, order: Load | Evict) -> str:
        if why := self._no_worker(order.worker):
            return why
        worker = self._belief.workers[order.worker]
        if worker.function != EVERY_FUNCTION:
            return f"the constants of a worker of one function are always there, it is a {worker}"
        if worker.stopping or not worker.ready:
            return f"it is a {worker}"
        return "" if 0 <= order.function < self._n_functions else f"the functions are 0 to {self._n_functions - 1}"

    def _preempt(self, order: Preempt) -> str:
        return self._no_worker(order.worker)

    def _partition(self, order: Partition) -> str:
        n = self._belief.n_devices
        if not 0 <= order.device < n:
            return f"the devices are 0 to {n - 1}"
        if self._belief.slots.get(order.device) == ():
            return f"device {order.device} has no slots now"
        if why := self._occupied({order.device}):
            return why
        if not order.profiles:
            return ""
        gpu = self._belief.fleet.device_of(order.device)
        if not gpu.mig:
            return f"MIG can't partition a {gpu.name}"
        try:
            fit(table_of(gpu.mig), order.profiles)
        except ScenarioError as why_not:
            return str(why_not)
        return ""

    def _scale(self, order: Scale) -> str:
        fleet = self._belief.fleet
        if not 0 <= order.node < len(fleet.nodes):
            return f"the nodes are 0 to {len(fleet.nodes) - 1}"
        devices = fleet.gpus_of(order.node)
        if not self._belief.changing.isdisjoint(devices):
            return f"node {order.node} is changing already"
        is_up = self._belief.slots.get(devices[0]) != ()
        if order.up == is_up:
            return f"node {order.node} is {'there already' if is_up else 'not there'}"
        return "" if order.up else self._occupied(set(devices))

    def _occupied(self, devices: set[int]) -> str:
        """Which worker is on, or is to be on, one of these devices. Linear in workers: such orders are rare."""
        n = self._belief.n_devices
        for number, worker in self._belief.workers.items():
            if worker.device == ANY_DEVICE:
                return f"worker {number} is to be on any device, and may have got one of them"
            if worker.device >= 0 and worker.device % n in devices:
                return f"worker {number} is on device {worker.device % n}"
        return ""

    def _reject(self, order: Reject) -> str:
        return "" if order.invocation in self._belief.waiting else f"invocation {order.invocation} is not waiting"

    def _wake(self, order: Wake) -> str:
        return "an instant must be a number" if isnan(order.at_s) else ""

    def _no_worker(self, number: int) -> str:
        return "" if number in self._belief.workers else f"there is no worker {number}"

    def _without(self, need: Need) -> str:
        """What is wrong with an order for which the policy has named no need."""
        if need in self._policy.needs:
            return ""
        return f"{type(self._policy).__name__}.needs does not name {need.value} (Need.{need.name})"
