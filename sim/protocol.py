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
from typing import ClassVar, NamedTuple, Protocol, TypeAlias

import numpy as np

from sim.domain import FleetSpec, Function, WorkerKind

# Priorities of same-time events: smaller goes first.
FINISHED, WORKER_CHANGED, ARRIVAL = 0, 1, 2


class _Record:
    """Equality and text by slots; dataclasses would be slower to make, and these are made for every invocation."""

    __slots__: tuple[str, ...] = ()

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and all(getattr(self, n) == getattr(other, n) for n in self.__slots__)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{n}={getattr(self, n)!r}' for n in self.__slots__)})"


class Arrival(_Record):
    """An invocation of a function entered the pool."""

    __slots__ = ("function", "invocation")

    def __init__(self, invocation: int, function: int) -> None:
        self.invocation = invocation
        self.function = function


class Finished(_Record):
    """A worker is done with an invocation; ``ok`` is False when it failed."""

    __slots__ = ("invocation", "ok", "worker")

    def __init__(self, invocation: int, worker: int, ok: bool = True) -> None:
        self.invocation = invocation
        self.worker = worker
        self.ok = ok


class WorkerReady(_Record):
    """A started worker can run invocations; ``device`` is the one that it got."""

    __slots__ = ("device", "worker")

    def __init__(self, worker: int, device: int) -> None:
        self.worker = worker
        self.device = device


class WorkerStopped(_Record):
    """A worker is gone and its device memory is released."""

    __slots__ = ("worker",)

    def __init__(self, worker: int) -> None:
        self.worker = worker


class Run(_Record):
    """Run a waiting invocation on a worker, after what that worker was given before (FIFO)."""

    __slots__ = ("invocation", "worker")

    def __init__(self, invocation: int, worker: int) -> None:
        self.invocation = invocation
        self.worker = worker


ANY_DEVICE = -1


class Start(_Record):
    """Start an exclusive worker of a function on a device, once the workers started there before are gone.

    On ANY_DEVICE it takes the first that nobody has or wants, in order of starting. ``worker`` is a new number, chosen
    by the policy; it is never used again.
    """

    __slots__ = ("device", "function", "worker")

    def __init__(self, worker: int, device: int, function: int) -> None:
        self.worker = worker
        self.device = device
        self.function = function


class Stop(_Record):
    """Stop an exclusive worker once it has finished what it was given."""

    __slots__ = ("worker",)

    def __init__(self, worker: int) -> None:
        self.worker = worker


class Reject(_Record):
    """End a waiting invocation without running it."""

    __slots__ = ("invocation", "reason")

    def __init__(self, invocation: int, reason: str) -> None:
        self.invocation = invocation
        self.reason = reason


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
