"""What must hold of the log of any run, in every world."""

from __future__ import annotations

from collections import defaultdict, deque
from math import inf

from sim.dispatcher import Dispatcher
from sim.protocol import (
    ANY_DEVICE,
    Finished,
    Outcome,
    Policy,
    Run,
    Start,
    Stop,
    Wake,
    Woke,
    WorkerReady,
    WorkerStopped,
)
from sim.records.decisions import check_decisions
from sim.streams import Stream, generator
from tests.contract.scripted import FLEET_MEMORY_BYTES, FixedCosts, functions
from tests.contract.worlds import ScriptLoad, Told
from tests.support import scripted_fleet


def check(told: Told, policy: Policy, load: ScriptLoad) -> None:
    """Every order ends once, in its turn; devices hold what they have room for; the log gives the same answers."""
    n, rng = len(load.run_s), generator(0, Stream.POLICY)
    fresh = Dispatcher(policy, scripted_fleet(load.n_gpus), functions(n), FixedCosts([1.0] * n), rng)
    assert check_decisions(told.log, fresh) == len(told.log)
    given = defaultdict(deque)  # worker -> its orders to run, in the order in which it was given them
    wanted, stopping = {}, set()  # worker -> how it is to be started; those that were told to stop
    timers = {}  # tag -> instant
    on = {device: {w: s for w, s in enumerate(fresh.standing) if s.device == device} for device in range(load.n_gpus)}
    for now_s, event, actions in told.log:
        if isinstance(event, Finished):
            assert event.outcome in (Outcome.OK, Outcome.LATE)
            order = given[event.worker].popleft()
            assert (order.invocation, order.others) == (event.invocation, event.others)
            assert event.outcome == Outcome.OK or order.latest_s < now_s
        elif isinstance(event, WorkerReady):
            order = wanted.pop(event.worker)
            assert order.device in (ANY_DEVICE, event.device)
            assert fits(order, on[event.device].values()), f"no room for {order} on device {event.device}"
            on[event.device][event.worker] = order
        elif isinstance(event, WorkerStopped):
            stopping.remove(event.worker)
            assert not given[event.worker]
            if wanted.pop(event.worker, None) is None:
                del next(workers for workers in on.values() if event.worker in workers)[event.worker]
        elif isinstance(event, Woke):
            assert timers.pop(event.tag) == now_s
        for action in actions:
            if isinstance(action, Run):
                given[action.worker].append(action)
            elif isinstance(action, Start):
                wanted[action.worker] = action
            elif isinstance(action, Stop):
                stopping.add(action.worker)
            elif isinstance(action, Wake):
                timers.pop(action.tag, None)
                if action.at_s < inf:
                    timers[action.tag] = max(now_s, action.at_s)
    if told.refusal:
        return
    assert not timers, "a timer did not ring"
    lines = {order.device: order for order in reversed(wanted.values())}  # the first of each
    for device, order in lines.items():
        devices = [d for d in on if d not in lines] if device == ANY_DEVICE else [device]
        assert not any(fits(order, on[d].values()) for d in devices), f"{order} did not start"
    left = {worker for worker, orders in given.items() if orders}
    assert left <= wanted.keys(), "an invocation did not end"
    assert stopping <= left, "a worker was not stopped"


def fits(order, beside):
    """Whether a worker has room on a device, beside these; whole devices are for one."""
    takes = [its.memory_bytes for its in (order, *beside)]
    return len(takes) == 1 or (None not in takes and sum(takes) <= FLEET_MEMORY_BYTES)
