"""The seam between what is simulated and what simulates it: an engine is a function from Inputs to an Ending.

The engine of ``sim.engine`` has one entrance, ``simulate``, which is an Engine; another one can stand beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import inf
from typing import Protocol, TypeAlias

from sim.dispatcher import Log
from sim.domain import FleetSpec
from sim.models.clients import ClientSettings
from sim.models.constants import Constants
from sim.models.costs import CostModel
from sim.models.failures import Failure
from sim.models.sharing import Sharing
from sim.protocol import Policy
from sim.records.recorder import Recorder
from sim.workload import Workload

# Given what ends a run early, a context in which something may call that: a handler of signals for instance.
Interrupting: TypeAlias = Callable[[Callable[[], None]], AbstractContextManager[None]]


@dataclass(frozen=True)
class Inputs:
    """All that decides what comes out of a simulation. Functions, devices and workers are known by dense numbers.

    workload: arrivals as blocks of columns, in order. costs: arrays by function. sharing: how workers share a device.
    constants: where those of functions lie; None: in host memory, from where copies take what the calibration says.
    report_delay_s: until the policy hears of what workers and devices did.
    seed: of what the policy and the frontend draw, each from a stream of its own (``sim.streams``). per_kernel: give
    every kernel an event of its own, instead of one for the whole graph. failures: what fails. retries: how often what
    is lost by a failure enters the pool again. slo_s: seconds from arrival to deadline by function, None without
    deadlines. clients: who leave when they wait too long, None when none does. measured: see
    ``sim.records.recorder.Recorder``. The policy is reset when a simulation begins, so that inputs can be used again.
    """

    workload: Workload
    policy: Policy
    fleet: FleetSpec
    costs: CostModel
    sharing: Sharing
    constants: Constants | None = None
    report_delay_s: float = 0.0
    seed: int = 0
    per_kernel: bool = False
    failures: Sequence[Failure] = ()
    retries: int = 0
    slo_s: Sequence[float] | None = None
    clients: ClientSettings | None = None
    measured: tuple[float, float] = (0.0, inf)


@dataclass(frozen=True)
class Ending:
    """How a simulation ended; what happened in it, the recorder has.

    end_s: the last event or reply. n_unfinished: invocations that arrived and did not end. interrupted: whether it was
    ended early. limits: what limited it that is neither the policy nor a GPU, in sentences. failure: what was raised,
    by the policy or because of it.
    """

    end_s: float
    n_unfinished: int
    interrupted: bool
    limits: tuple[str, ...]
    failure: Exception | SystemExit | None


class Engine(Protocol):
    """A simulator."""

    def __call__(
        self,
        inputs: Inputs,
        recorder: Recorder,
        log: Log | None = None,
        *,
        progress: Callable[[int], None] | None = None,
        interrupting: Interrupting | None = None,
    ) -> Ending:
        """Simulate until every invocation has ended.

        recorder: told all that happens; it is left open. log: see ``sim.dispatcher.Dispatcher``. progress: called with
        the number of arrivals since its last call. Raises PolicyError or ScenarioError for what the policy refuses
        before the first event, and OSError when something can't be read or written.
        """
        ...
