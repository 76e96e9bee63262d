"""What must hold of the log of any run, in every world."""

from __future__ import annotations

from collections import defaultdict, deque

from sim.dispatcher import Dispatcher
from sim.protocol import ANY_DEVICE, Finished, Outcome, Policy, Run, Start, Stop, WorkerReady, WorkerStopped
from sim.records.decisions import check_decisions
from sim.streams import Stream, generator
from tests.contract.scripted import FixedCosts, functions
from tests.contract.worlds import ScriptLoad, Told
from tests.support import scripted_fleet


def check(told: Told, policy: Policy, load: ScriptLoad) -> None:
    """Every order ends once, in its turn; a started worker has its device alone; the log gives the same answers."""
    n, rng = len(load.run_s), generator(0, Stream.POLICY)
    fresh = Dispatcher(policy, scripted_fleet(load.n_gpus), functions(n), FixedCosts([1.0] * n), rng)
    assert check_decisions(told.log, fresh) == len(told.log)
    given = defaultdict(deque)  # worker -> invocations, in the order in which it was given them
    wanted, stopping = {}, set()  # worker -> the device on which it is to be started; those that were told to stop
    on = {device: {w for w, s in enumerate(fresh.standing) if s.device == device} for device in range(load.n_gpus)}
    for _, event, actions in told.log:
        if isinstance(event, Finished):
            assert event.outcome == Outcome.OK
            assert given[event.worker].popleft() == event.invocation
        elif isinstance(event, WorkerReady):
            assert wanted.pop(event.worker) in (ANY_DEVICE, event.device)
            assert not on[event.device], f"a second worker on device {event.device}"
            on[event.device].add(event.worker)
        elif isinstance(event, WorkerStopped):
            stopping.remove(event.worker)
            assert not given[event.worker]
            if wanted.pop(event.worker, None) is None:
                next(workers for workers in on.values() if event.worker in workers).remove(event.worker)
        for action in actions:
            if isinstance(action, Run):
                given[action.worker].append(action.invocation)
            elif isinstance(action, Start):
                wanted[action.worker] = action.device
            elif isinstance(action, Stop):
                stopping.add(action.worker)
    if told.refusal:
        return
    for worker, device in wanted.items():
        assert all(on[d] for d in (range(load.n_gpus) if device == ANY_DEVICE else [device])), f"{worker} did not start"
    left = {worker for worker, invocations in given.items() if invocations}
    assert left <= wanted.keys(), "an invocation did not end"
    assert stopping <= left, "a worker was not stopped"
