"""The dispatcher: keeps the belief about the fleet, asks the policy, and refuses what is impossible.

It is the same object in every world. It knows no clock: time is an argument of each report.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf

import numpy as np

from sim.belief import Belief, WorkerBelief
from sim.domain import FleetSpec, Function
from sim.errors import PolicyError
from sim.orders import Rules
from sim.protocol import (
    Action,
    Arrival,
    Costs,
    Event,
    Finished,
    Need,
    Partition,
    Policy,
    Reject,
    Run,
    Scale,
    Start,
    Stop,
)

_LISTS = (tuple, list)  # what may be gone through twice

Log = Callable[[float, Event, Sequence[Action]], None]


class Dispatcher:
    """Belief + policy + validation of the policy's actions.

    ``waiting``, ``running`` and ``workers``: see ``sim.belief``; ``standing`` lists the workers of the beginning.
    ``qualified``: whether the policy may order more of a run than where, or end it early.
    ``log`` is called with (now_s, event, actions) for each event: such a log, fed to a fresh policy, gives the same
    actions. Raises PolicyError when the policy begins with workers that can't be.
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
        self.policy = policy
        self._on_event = policy.on_event
        self._log = log
        self._now_s = 0.0
        self.qualified = bool(policy.needs & {Need.LATEST, Need.PREEMPTION, Need.BATCHES})
        self.belief = Belief(fleet, remembers=self.qualified)
        self.waiting = self.belief.waiting
        self.running = self.belief.running
        self.workers: dict[int, WorkerBelief] = self.belief.workers
        self._rules = Rules(self.belief, policy, len(functions))
        self.standing = policy.standing(fleet)
        self._rules.check_standing(self.standing)
        self.belief.stand(self.standing)

    def report(self, now_s: float, event: Event) -> Sequence[Action]:
        """A world reports an event; returns the actions that it has to carry out.

        Raises PolicyError when the event contradicts the belief, or when the policy orders something impossible.
        """
        if now_s < self._now_s:
            raise PolicyError(f"time went back from {self._now_s} s to {now_s} s at {event}")
        self._now_s = now_s
        waiting, running, qualified = self.waiting, self.running, self.qualified
        if type(event) is Arrival:
            invocation = event.invocation
            if invocation in waiting or invocation in running:
                raise PolicyError(f"{event} at {now_s} s: it had arrived before")
            waiting[invocation] = event.function
        elif type(event) is Finished:
            worker = self.workers.get(event.worker)
            if worker is None or qualified:
                self.belief.finish(now_s, event)
            elif running.pop(event.invocation, None) != event.worker:
                raise PolicyError(f"{event} at {now_s} s: the worker did not have it")
            else:
                worker.outstanding -= 1
        else:
            self.belief.take_in(now_s, event)
        actions = self._on_event(now_s, event, self)
        if not isinstance(actions, _LISTS):
            raise self._refusal(now_s, event, actions, "it is no list or tuple of actions")
        for action in actions:
            if type(action) is Run:
                worker = self.workers.get(action.worker)
                function = waiting.pop(action.invocation, None)
                if worker is None or function is None or worker.stopping or worker.function not in (-1, function):
                    raise self._refusal(now_s, event, action, self._rules.why_not_run(action, worker, function))
                if qualified or action.others or action.latest_s != inf:
                    if why := self._rules.against_run(action, function):
                        raise self._refusal(now_s, event, action, why)
                    self.belief.run(action, function)
                else:
                    worker.outstanding += 1
                    running[action.invocation] = action.worker
            else:
                self._apply(now_s, event, action)
        if self._log is not None:
            self._log(now_s, event, actions)
        return actions

    def _apply(self, now_s: float, event: Event, action: Action) -> None:
        """Validate a rare action and take it into the belief."""
        if why := self._rules.against(action):
            raise self._refusal(now_s, event, action, why)
        if isinstance(action, Start):
            self.belief.start(action)
        elif isinstance(action, Stop):
            self.workers[action.worker].stopping = True
        elif isinstance(action, Reject):
            del self.waiting[action.invocation]
        elif isinstance(action, Partition | Scale):
            self.belief.change(action)

    def _refusal(self, now_s: float, event: Event, action: object, why: str) -> PolicyError:
        return PolicyError(f"{self.policy.describe()} answered {event} at {now_s} s with {action}, refused: {why}")

    def check(self) -> None:
        """Invariants of the belief; raises AssertionError. Linear in the number of live things: for tests."""
        self.belief.check()
