"""Mechanisms against queueing theory: means within 4 standard errors of independent replications.

Times are in units of the mean service. Sources are at each test.
"""

from __future__ import annotations

from heapq import heappop, heappush
from math import exp, factorial

import numpy as np
import pytest

from sim.domain import Function, Kernel, KernelGraph, WorkerKind
from sim.models.calibration import ByKind, GraphCosts
from sim.policies.base import BasePolicy
from sim.protocol import Arrival, Finished, Need, Outcome, Preempt, Reject, Run, Standing
from sim.workload import Workload
from tests.statistics.test_queueing import assert_mean
from tests.support import ListTrace, ideal, simulate

REPLICATIONS, ARRIVALS, WARM_UP = 10, 8_000, 800


def arrivals(load, service, seed):
    """Poisson arrivals of one function, with service times of mean 1: constant, exponential, or of 5 % and 95 %, which
    are 10 and 0.526 on average, exponential each (their coefficient of variation is 3.1)."""
    rng = np.random.default_rng([7, seed])
    at_s = np.cumsum(rng.exponential(1 / load, ARRIVALS))
    service_s = np.ones(ARRIVALS)
    if service != "constant":
        service_s = rng.exponential(1.0, ARRIVALS)
    if service == "uneven":
        service_s *= np.where(rng.random(ARRIVALS) < 0.05, 10.0, 0.5 / 0.95)
    return ListTrace(at_s, np.zeros(ARRIVALS, dtype=int), service_s)


def runs(directory, make_policy, load, service, n_kernels=1, **more):
    """The invocations of each replication, without its warm-up."""
    graph = KernelGraph("g", (Kernel("k", "k", (1, 1, 1), (1, 1, 1), ()),) * n_kernels, ())
    known = dict.fromkeys(("kaas", "exclusive"), GraphCosts(1.0, batch_fixed_frac=1.0))
    gpu = ideal(graphs={"g": known}, launch_s=ByKind(1e-3, 1e-3))
    for seed in range(REPLICATIONS):
        trace = arrivals(load, service, seed)
        workload = Workload(trace, (Function(0, "f0", graph),), own_durations=True)
        policy = make_policy(trace.run_s)
        run = simulate(workload, policy, directory / str(seed), calibration=gpu, check=seed == 0, **more)
        rows = run.table("invocations", ["invocation", "status", "arrival_at_s", "completed_at_s"])
        yield rows[rows.invocation >= WARM_UP]


def responses_s(directory, make_policy, load, service, **more):
    """Mean response of each replication."""
    its = runs(directory, make_policy, load, service, **more)
    return np.array([(rows.completed_at_s - rows.arrival_at_s).mean() for rows in its])


class Queue(BasePolicy):
    """One worker, which is idle or has something to run. ``_next`` says what to order when it gets idle."""

    name = "queue"
    workers = (WorkerKind.EXCLUSIVE,)

    def __init__(self, sizes_s):
        self._sizes_s = sizes_s

    def describe(self):
        return self.name

    def reset(self, *_):
        self._queue = []
        self._idle = True

    def standing(self, fleet):
        return [Standing(0, 0)]


class AtOnce(Queue):
    """Runs all that comes on one worker, whatever it runs already."""

    needs = frozenset({Need.CONCURRENCY})

    def standing(self, fleet):
        return [Standing(0, 0, concurrency=400)]

    def on_event(self, now_s, event, view):
        return [Run(event.invocation, 0)] if isinstance(event, Arrival) else ()


class OneEach(Queue):
    """Runs all that comes on a worker of its own, beside the others."""

    def standing(self, fleet):
        self._free = list(range(200))
        return [Standing(0, 0, memory_bytes=fleet.device.memory_bytes // 200)] * 200

    def on_event(self, now_s, event, view):
        if isinstance(event, Arrival):
            return [Run(event.invocation, self._free.pop())]
        self._free.append(event.worker)
        return ()


@pytest.mark.parametrize("policy", [AtOnce, OneEach])
def test_m_m_1_processor_sharing(tmp_path, policy):
    """1 / (1 - r), as first come, first served (Kleinrock, Queueing Systems, vol. 2, section 4.4)."""
    assert_mean(responses_s(tmp_path, policy, 0.7, "exponential", sharing="slices[length=0]"), 1 / 0.3)


@pytest.mark.parametrize("service", ["constant", "uneven"])
def test_processor_sharing_knows_only_the_mean_of_the_service(tmp_path, service):
    """The same mean for any distribution (ibid.); first come, first served, it would be 1.5 and 6.3."""
    assert_mean(responses_s(tmp_path, AtOnce, 0.5, service, sharing="slices[length=0]"), 2.0)


def test_slices_come_near_to_processor_sharing_when_they_are_short(tmp_path):
    assert_mean(responses_s(tmp_path, AtOnce, 0.5, "constant", sharing="slices[length=0.002]"), 2.0)


@pytest.mark.parametrize(("service", "response"), [("exponential", 2.0), ("constant", 1.5)])
def test_turns_are_first_come_first_served(tmp_path, service, response):
    """M/M/1, and Pollaczek and Khinchine."""
    assert_mean(responses_s(tmp_path, AtOnce, 0.5, service, sharing="turns"), response)


class Srpt(Queue):
    """The shortest remaining time first: it preempts what has more left than what comes. It is told all sizes."""

    needs = frozenset({Need.PREEMPTION})

    def on_event(self, now_s, event, view):
        if isinstance(event, Arrival):
            heappush(self._queue, (self._sizes_s[event.invocation], event.invocation))
            if self._idle:
                return self._begin(now_s)
            left_s = self._left_s - (now_s - self._since_s)
            return [Preempt(0)] if self._queue[0][0] < left_s else ()
        if event.outcome is Outcome.PREEMPTED:
            heappush(self._queue, (self._left_s - (now_s - self._since_s), event.invocation))
        self._idle = True
        return self._begin(now_s)

    def _begin(self, now_s):
        if not self._queue:
            return ()
        self._idle, self._since_s = False, now_s
        self._left_s, invocation = heappop(self._queue)
        return [Run(invocation, 0)]


@pytest.mark.parametrize(("load", "response"), [(0.5, 1.425), (0.8, 2.353)])
def test_m_m_1_shortest_remaining_time_first(tmp_path, load, response):
    """Schrage and Miller, The queue M/G/1 with the shortest remaining processing time discipline, Operations Research
    14(4), 1966, evaluated. A service is 500 kernels, so that what a preemption waits for does not show.
    """
    assert_mean(responses_s(tmp_path, Srpt, load, "exponential", n_kernels=500), response)


class Batcher(Queue):
    """Runs all that waits as a batch, up to 4, whenever the worker is idle."""

    needs = frozenset({Need.BATCHES})

    def on_event(self, now_s, event, view):
        if isinstance(event, Arrival):
            self._queue.append(event.invocation)
        else:
            self._idle = True
        if not self._idle or not self._queue:
            return ()
        self._idle = False
        batch, self._queue = self._queue[:4], self._queue[4:]
        return [Run(batch[0], 0, others=tuple(batch[1:]))]


def bulk_response(load, most, n=200):
    """Mean response where a server takes what waits, up to ``most``, in a constant time of 1, and else waits for one.

    The chain of what services leave behind (Bailey, On queueing processes with bulk service, J. R. Stat. Soc. B 16(1),
    1954), and from there Little's law over the time from one service's end to the next.
    """
    comes = np.array([exp(-load) * load**k / factorial(k) for k in range(60)])
    step = np.zeros((n, n))
    for left in range(n):
        rest = max(left - most, 0)
        for k in range(min(60, n - rest)):
            step[left, rest + k] = comes[k]
    leaves = np.linalg.matrix_power(step / step.sum(axis=1, keepdims=True), 2**12)[0]
    states = np.arange(n)
    inside = np.maximum(states, 1) + load / 2  # on average during a service
    lasts = 1 + (states == 0) / load
    return float(leaves @ inside / (leaves @ lasts) / load)


@pytest.mark.parametrize("load", [1.0, 3.0])
def test_batch_service(tmp_path, load):
    assert bulk_response(0.8, 1) == pytest.approx(3.0, rel=1e-3)  # then it is M/D/1
    assert_mean(responses_s(tmp_path, Batcher, load, "constant"), bulk_response(load, 4))


class Loss(Queue):
    """Rejects what finds no idle worker."""

    workers = (WorkerKind.KAAS,)

    def standing(self, fleet):
        self._free = list(range(fleet.n_gpus))
        return [Standing(device) for device in range(fleet.n_gpus)]

    def on_event(self, now_s, event, view):
        if isinstance(event, Finished):
            self._free.append(event.worker)
            return ()
        return [Run(event.invocation, self._free.pop())] if self._free else [Reject(event.invocation, "busy")]


@pytest.mark.parametrize("service", ["exponential", "constant"])
def test_erlang_loss(tmp_path, service):
    """Erlang's B, for any distribution of the service (Kleinrock, Queueing Systems, vol. 1, section 3.6)."""
    offered, n_gpus = 3.0, 4
    terms = [offered**k / factorial(k) for k in range(n_gpus + 1)]
    lost = [(rows.status == "rejected").mean() for rows in runs(tmp_path, Loss, offered, service, gpus=n_gpus)]
    assert_mean(np.array(lost), terms[-1] / sum(terms))
