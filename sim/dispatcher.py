"""The dispatcher: keeps the belief about the fleet, asks the policy, and refuses what is impossible.

It is the same object in every world. It knows no clock: time is an argument of each report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from sim.domain import FleetSpec, Function, WorkerKind
from sim.errors import PolicyError
from sim.protocol import (
    ANY_DEVICE,
    Action,
    Arrival,
    Costs,
    Event,
    Finished,
    Policy,
    Reject,
    Run,
    Standing,
    Start,
    Stop,
    WorkerReady,
    WorkerStopped,
)
from sim.text import shown

_LISTS = (tuple, list)  # what may be gone through twice

Log = Callable[[float, Event, Sequence[Action]], None]


class WorkerBelief:
    """Belief about one worker."""

    __slots__ = ("device", "function", "outstanding", "ready", "stopping")

    def __init__(self, device: int, function: int, ready: bool) -> None:
        self.device = device
        self.function = function
        self.outstanding = 0
        self.ready = ready
        self.stopping = False

    def __repr__(self) -> str:
        owner = "every function" if self.function < 0 else f"function {self.function}"
        state = "stopping" if self.stopping else "ready" if self.ready else "starting"
        return f"{state} worker of {owner} on device {self.device} with {self.outstanding} outstanding"


class Dispatcher:
    """Belief + policy + validation of the policy's actions.

    ``waiting`` maps invocations that no worker has to their function; ``running`` maps the others to their worker;
    ``workers`` holds the workers that are not gone, ``standing`` lists those of the beginning. ``log`` is called with
    (now_s, event, actions) for each event: such a log, fed to a fresh policy, gives the same actions. Raises
    PolicyError when the policy begins with workers that can't be.
    """

    def __init__(
        self,
        policy: Policy,
        fleet: FleetSpec,
        functions: Sequence[Function],
        costs: Costs,
        rng: np.random.Generator,
        log: Log | None = None,
    ) -> None:
        policy.reset(fleet, functions, costs, rng)
        self._policy = policy
        self._on_event = policy.on_event
        self._n_devices = fleet.n_gpus
        self._n_functions = len(functions)
        self._log = log
        self._now_s = 0.0
        self.waiting: dict[int, int] = {}
        self.running: dict[int, int] = {}
        self.workers: dict[int, WorkerBelief] = {}
        self.standing = policy.standing(fleet)
        self._check_standing()
        for number, (device, function, _) in enumerate(self.standing):
            self.workers[number] = WorkerBelief(device, function, ready=True)
        self._n_started = len(self.standing)

    def report(self, now_s: float, event: Event) -> Sequence[Action]:
        """A world reports an event; returns the actions that it has to carry out.

        Raises PolicyError when the event contradicts the belief, or when the policy orders something impossible.
        """
        if now_s < self._now_s:
            raise PolicyError(f"time went back from {self._now_s} s to {now_s} s at {event}")
        self._now_s = now_s
        if type(event) is Arrival:
            if event.invocation in self.waiting or event.invocation in self.running:
                raise PolicyError(f"{event} at {now_s} s: it had arrived before")
            self.waiting[event.invocation] = event.function
        elif type(event) is Finished:
            if self.running.pop(event.invocation, None) != event.worker:
                raise PolicyError(f"{event} at {now_s} s: the worker did not have it")
            self.workers[event.worker].outstanding -= 1
        else:
            self._take_in(now_s, event)
        actions = self._on_event(now_s, event, self)
        if not isinstance(actions, _LISTS):
            raise self._refusal(now_s, event, actions, "it is no list or tuple of actions")
        for action in actions:
            if type(action) is Run:
                worker = self.workers.get(action.worker)
                function = self.waiting.pop(action.invocation, None)
                if worker is None or function is None or worker.stopping or worker.function not in (-1, function):
                    raise self._refusal(now_s, event, action, self._why_not_run(action, worker, function))
                worker.outstanding += 1
                self.running[action.invocation] = action.worker
            else:
                self._apply(now_s, event, action)
        if self._log is not None:
            self._log(now_s, event, actions)
        return actions

    def _check_standing(self) -> None:
        executors = self._policy.kind is WorkerKind.KAAS
        if not isinstance(self.standing, _LISTS) or not all(isinstance(w, Standing) for w in self.standing):
            why = "they must be a list or tuple of sim.protocol.Standing"
            raise PolicyError(f"{self._policy.describe()} begins with {shown(self.standing)}, refused: {why}")
        n_on_device = Counter(worker.device for worker in self.standing)
        for worker in self.standing:
            if not 0 <= worker.device < self._n_devices:
                why = f"the devices are 0 to {self._n_devices - 1}"
            elif executors and worker.function != -1:
                why = "a policy of KaaS executors has no other workers"
            elif not executors and not 0 <= worker.function < self._n_functions:
                why = f"the functions are 0 to {self._n_functions - 1}"
            elif not 0 < worker.share <= 1:
                why = "a share is above 0 and at most 1"
            elif executors and (worker.share < 1 or n_on_device[worker.device] > 1):
                why = "a KaaS executor has a device to itself"
            else:
                continue
            raise PolicyError(f"{self._policy.describe()} begins with {worker}, refused: {why}")

    def _take_in(self, now_s: float, event: Event) -> None:
        """Take a change of a worker into the belief."""
        if isinstance(event, WorkerReady):
            worker = self.workers[event.worker]
            if worker.device not in (ANY_DEVICE, event.device):
                raise PolicyError(f"{event} at {now_s} s: it was ordered to be on device {worker.device}")
            worker.device = event.device
            worker.ready = True
        elif isinstance(event, WorkerStopped):
            gone = self.workers.pop(event.worker)
            if gone.outstanding:
                raise PolicyError(f"{event} at {now_s} s: it had work, a {gone}")

    def _apply(self, now_s: float, event: Event, action: Action) -> None:
        """Validate a rare action and take it into the belief."""
        if isinstance(action, Start):
            if self._policy.kind is WorkerKind.KAAS:
                why = "a policy of KaaS executors starts no workers"
            elif action.worker != self._n_started:
                why = f"the next worker must have the number {self._n_started}"
            elif not (0 <= action.device < self._n_devices or action.device == ANY_DEVICE):
                why = f"the devices are 0 to {self._n_devices - 1}, or {ANY_DEVICE} for any"
            elif not 0 <= action.function < self._n_functions:
                why = f"the functions are 0 to {self._n_functions - 1}"
            else:
                self.workers[action.worker] = WorkerBelief(action.device, action.function, ready=False)
                self._n_started += 1
                return
        elif isinstance(action, Stop):
            worker = self.workers.get(action.worker)
            if worker is None:
                why = f"there is no worker {action.worker}"
            elif worker.function < 0:
                why = "a KaaS executor stands until the end, as it can't be started again"
            elif worker.stopping:
                why = "it is being stopped already"
            else:
                worker.stopping = True
                return
        elif isinstance(action, Reject):
            if self.waiting.pop(action.invocation, None) is not None:
                return
            why = f"invocation {action.invocation} is not waiting"
        else:
            why = "it is no action"
        raise self._refusal(now_s, event, action, why)

    def _why_not_run(self, action: Run, worker: WorkerBelief | None, function: int | None) -> str:
        if worker is None:
            return f"there is no worker {action.worker}"
        if function is None:
            holder = self.running.get(action.invocation)
            where = "unknown or over" if holder is None else f"with worker {holder}"
            return f"invocation {action.invocation} is not waiting but {where}"
        if worker.stopping:
            return f"worker {action.worker} is being stopped"
        return f"invocation {action.invocation} is of function {function}, worker {action.worker} is a {worker}"

    def _refusal(self, now_s: float, event: Event, action: object, why: str) -> PolicyError:
        return PolicyError(f"{self._policy.describe()} answered {event} at {now_s} s with {action}, refused: {why}")

    def check(self) -> None:
        """Invariants of the belief; raises AssertionError. Linear in the number of live things: for tests."""
        assert not self.waiting.keys() & self.running.keys(), "an invocation both waits and runs"
        counts = dict.fromkeys(self.workers, 0)
        for worker in self.running.values():
            counts[worker] += 1
        assert counts == {w: b.outstanding for w, b in self.workers.items()}, "outstanding counts are wrong"
