"""What brain and worlds say to each other: events, actions, and the protocols of policies and cost models.

A world (simulator, replay, test script) reports events; the brain answers with actions; the world carries each
out and reports exactly one terminal event for it:

    Run    -> Finished (ok or not)
    Start  -> WorkerReady, or WorkerStopped when it was stopped before it got ready
    Stop   -> WorkerStopped
    Reject -> none: the invocation has ended

Events of the same time are handled in the order Finished, WorkerReady and WorkerStopped, Arrival; events of the
same kind in the order in which their causes were ordered (arrivals: in order of the trace).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np

from sim.domain import FleetSpec, Function, WorkerKind

# Priorities of same-time events: smaller goes first.
FINISHED, WORKER_CHANGED, ARRIVAL = 0, 1, 2


_Kind = TypeVar("_Kind", bound=type)

EVENTS: dict[str, type] = {}
ACTIONS: dict[str, type] = {}


def event(kind: _Kind) -> _Kind:
    """Register a kind of event by its name, under which logs know it."""
    EVENTS[kind.__name__] = kind
    return kind


def action(kind: _Kind) -> _Kind:
    """Register a kind of action by its name."""
    ACTIONS[kind.__name__] = kind
    return kind


@event
@dataclass(slots=True)
class Arrival:
    """An invocation of a function entered the pool."""

    invocation: int
    function: int


@event
@dataclass(slots=True)
class Finished:
    """A worker is done with an invocation; ``ok`` is False when it failed."""

    invocation: int
    worker: int
    ok: bool = True


@event
@dataclass(slots=True)
class WorkerReady:
    """A started worker can run invocations; ``device`` is the one that it got."""

    worker: int
    device: int


@event
@dataclass(slots=True)
class WorkerStopped:
    """A worker is gone and its device memory is released."""

    worker: int


@action
@dataclass(slots=True)
class Run:
    """Run a waiting invocation on a worker, after what that worker was given before (FIFO)."""

    invocation: int
    worker: int


ANY_DEVICE = -1


@action
@dataclass(slots=True)
class Start:
    """Start an exclusive worker of a function on a device, once the workers started there before are gone.

    On ANY_DEVICE it takes the first that nobody has or wants, in order of starting. ``worker`` is a new number, chosen
    by the policy; it is never used again.
    """

    worker: int
    device: int
    function: int


@action
@dataclass(slots=True)
class Stop:
    """Stop an exclusive worker once it has finished what it was given."""

    worker: int


@action
@dataclass(slots=True)
class Reject:
    """End a waiting invocation without running it."""

    invocation: int
    reason: str


class Standing(NamedTuple):
    """A worker that is ready before the first event: of one function, or a KaaS executor (-1).

    share: part of the device's multiprocessors that its kernels may use, at most 1.
    """

    device: int
    function: int
    share: float = 1.0


def share_devices(standing: Sequence[Standing]) -> bool:
    """Whether some of these workers don't have a device for themselves."""
    return len({s.device for s in standing}) < len(standing) or any(s.share < 1 for s in standing)


Event: TypeAlias = Arrival | Finished | WorkerReady | WorkerStopped
Action: TypeAlias = Run | Start | Stop | Reject


class WorkerView(Protocol):
    """What the dispatcher believes of a worker. ``function`` is -1 for a KaaS executor."""

    @property
    def device(self) -> int:
        """Number of its device; ANY_DEVICE until it is ready, if it was started so."""
        ...

    @property
    def function(self) -> int:
        """The function that it belongs to, or -1."""
        ...

    @property
    def outstanding(self) -> int:
        """Invocations that it was given and has not finished."""
        ...

    @property
    def ready(self) -> bool:
        """Whether its start is over."""
        ...

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        ...


class View(Protocol):
    """What a policy may know: belief from actions sent and events received, never a world's ground truth."""

    @property
    def workers(self) -> Mapping[int, WorkerView]:
        """The workers that are not gone, by number."""
        ...

    @property
    def waiting(self) -> Mapping[int, int]:
        """Invocations that no worker has -> their function."""
        ...


class Costs(Protocol):
    """Expectations, by function id, for beliefs. What an invocation really takes, policies never see."""

    def expected_s(self, function: int) -> float:
        """Expected duration of a warm invocation on its worker, in seconds."""
        ...

    def memory_bytes(self, function: int) -> int:
        """Device memory of a worker that serves this function alone."""
        ...


class Policy(Protocol):
    """A pure state machine: no clock, no threads, no global randomness.

    ``kind``: what its workers are. KaaS executors can't be started or stopped during a run.
    """

    kind: ClassVar[WorkerKind]

    def describe(self) -> str:
        """``name[k=v,...]`` with every parameter."""
        ...

    def reset(self, fleet: FleetSpec, functions: Sequence[Function], costs: Costs, rng: np.random.Generator) -> None:
        """Forget everything and get ready for a run."""
        ...

    def standing(self, fleet: FleetSpec) -> Sequence[Standing]:
        """The workers that are ready before the first event, numbered from 0. Called after ``reset``."""
        ...

    def on_event(self, now_s: float, event: Event, view: View) -> Sequence[Action]:
        """Answer an event. ``view`` already includes it. Cost must not grow with queues, fleet or functions."""
        ...
