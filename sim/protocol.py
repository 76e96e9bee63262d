"""What brain and worlds say to each other: events, actions, and the protocols of policies and cost models.

A world (simulator, replay, test script) reports events; the brain answers with actions; the world carries each
out and reports exactly one terminal event for it:

    Run       -> Finished, with an outcome
    Start     -> WorkerReady, or WorkerStopped when it was stopped, or lost its device, before it got ready
    Stop      -> WorkerStopped
    Load      -> Loaded, or WorkerStopped when its worker was gone before
    Preempt   -> none of its own: its Run ends sooner
    Partition -> DeviceChanged
    Scale     -> DeviceChanged for each device of the node
    Wake      -> Woke
    Evict     -> none: it is done
    Reject    -> none: the invocation has ended

Events of the same time are handled in the order Finished, changes of workers and devices, Arrival, Woke; events of
the same kind in the order in which their causes were ordered (arrivals: in order of the trace). What a failure takes
with it is told before what was lost by it, so that nobody gives orders to what is gone: DeviceChanged,
WorkerStopped of its workers, Finished of what these had.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from math import inf
from typing import Any, ClassVar, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np

from sim.domain import FleetSpec, Function, WorkerKind

# Priorities of same-time events: smaller goes first.
FINISHED, WORKER_CHANGED, ARRIVAL, WOKE = 0, 1, 2, 3

EVERY_FUNCTION = -1  #: whom a KaaS executor serves
ANY_DEVICE = -1  #: the first that has room

_Kind = TypeVar("_Kind", bound=type)

EVENTS: dict[str, type] = {}
ACTIONS: dict[str, type] = {}


def said(record: Event | Action) -> dict[str, Any]:
    """The fields of an event or action by name, without those that are at their defaults."""
    values = {field.name: (getattr(record, field.name), field.default) for field in fields(record)}
    return {name: value for name, (value, default) in values.items() if value != default}


def _text(record: Any) -> str:
    return f"{type(record).__name__}({', '.join(f'{name}={value!r}' for name, value in said(record).items())})"


def event(kind: _Kind) -> _Kind:
    """Register a kind of event by its name, under which logs know it; as text it is what it said."""
    EVENTS[kind.__name__] = kind
    kind.__repr__ = _text  # type: ignore[assignment]
    return kind


def action(kind: _Kind) -> _Kind:
    """Register a kind of action by its name."""
    ACTIONS[kind.__name__] = kind
    kind.__repr__ = _text  # type: ignore[assignment]
    return kind


class Outcome(str, Enum):
    """How a Run ended. Late and preempted invocations wait again; the others have ended."""

    OK = "ok"  #: it ran to its end
    FAILED = "failed"  #: it was lost, with its worker or device
    LATE = "late"  #: it would have begun after its ``latest_s``
    PREEMPTED = "preempted"  #: a Preempt ended it


class Slot(NamedTuple):
    """What workers can be placed on: a device as a whole, or an instance of a partitioned one.

    number: orders name it as their ``device``. A device that is not partitioned has the number of the device, its
    i-th instance (from 0) that of the device plus (i + 1) times the devices of the fleet. profile: of the instance,
    as "1g.10gb"; empty for a whole device.
    """

    number: int
    memory_bytes: int
    profile: str = ""


@event
@dataclass(slots=True, repr=False)
class Arrival:
    """An invocation of a function entered the pool. ``due_at_s``: when it should be completed."""

    invocation: int
    function: int
    due_at_s: float = inf


@event
@dataclass(slots=True, repr=False)
class Finished:
    """A worker is done with an invocation, and with the ``others`` of its batch."""

    invocation: int
    worker: int
    outcome: Outcome = Outcome.OK
    others: tuple[int, ...] = ()


@event
@dataclass(slots=True, repr=False)
class WorkerReady:
    """A started worker can run invocations; ``device`` is the number of the slot that it got."""

    worker: int
    device: int


@event
@dataclass(slots=True, repr=False)
class WorkerStopped:
    """A worker is gone and its device memory is released. ``died``: nobody had told it to stop."""

    worker: int
    died: bool = False


@event
@dataclass(slots=True, repr=False)
class Loaded:
    """A Load has ended. ``resident``: whether the constants are there now; False when there is no room for them."""

    worker: int
    function: int
    resident: bool = True


@event
@dataclass(slots=True, repr=False)
class DeviceChanged:
    """A device has other slots than before: it was partitioned, came, went or failed (no slots)."""

    device: int
    slots: tuple[Slot, ...]


@event
@dataclass(slots=True, repr=False)
class Woke:
    """The instant of a Wake has come."""

    tag: str


@action
@dataclass(slots=True, repr=False)
class Run:
    """Run a waiting invocation on a worker, after what that worker was given before (FIFO).

    latest_s: if it can't begin by then, it ends as late. others: waiting invocations of the same function that run
    with it as one batch.
    """

    invocation: int
    worker: int
    latest_s: float = inf
    others: tuple[int, ...] = ()


@action
@dataclass(slots=True, repr=False)
class Start:
    """Start a worker on a device, or a slot of one, once there is room for it.

    On ANY_DEVICE it takes the first device with room, in order of starting. ``worker`` is a new number, chosen by
    the policy; it is never used again. What it is: see Standing.
    """

    worker: int
    device: int
    function: int = EVERY_FUNCTION
    share: float = 1.0
    memory_bytes: int | None = None
    concurrency: int = 1


@action
@dataclass(slots=True, repr=False)
class Stop:
    """Stop a worker once it has finished what it was given."""

    worker: int


@action
@dataclass(slots=True, repr=False)
class Load:
    """Make the constants of a function resident in a worker, beside what it runs."""

    worker: int
    function: int


@action
@dataclass(slots=True, repr=False)
class Evict:
    """Give the memory of a function's constants in a worker free, which runs nothing of this function."""

    worker: int
    function: int


@action
@dataclass(slots=True, repr=False)
class Preempt:
    """End what a worker runs at the next boundary between kernels.

    What was preempted waits again. On the same worker it goes on where it was, on another it begins again.
    """

    worker: int


@action
@dataclass(slots=True, repr=False)
class Partition:
    """Partition a device without workers into instances of these profiles, in this order; () makes it whole."""

    device: int
    profiles: tuple[str, ...]


@action
@dataclass(slots=True, repr=False)
class Scale:
    """Start a node, or let it go once its devices have no workers."""

    node: int
    up: bool


@action
@dataclass(slots=True, repr=False)
class Reject:
    """End a waiting invocation without running it."""

    invocation: int
    reason: str


@action
@dataclass(slots=True, repr=False)
class Wake:
    """Ask to be woken at an instant. The same tag again sets another instant; infinity takes it back."""

    tag: str
    at_s: float


class Need(str, Enum):
    """What a policy may order beyond running whole workers. It names them; a world that can't carry one refuses."""

    TIMERS = "timers"  #: Wake
    SHARED_DEVICES = "shared devices"  #: workers that are started with a part of a device
    EXECUTORS = "executors"  #: KaaS executors that are started and stopped
    CONCURRENCY = "concurrency"  #: workers that run several invocations at once
    LATEST = "latest start"  #: Run with latest_s
    BATCHES = "batches"  #: Run with others
    RESIDENCY = "residency"  #: Load and Evict
    PREEMPTION = "preemption"  #: Preempt
    PARTITIONS = "partitions"  #: Partition
    SCALING = "scaling"  #: Scale


# With these several invocations may be on a device at once.
SHARES = frozenset({Need.SHARED_DEVICES, Need.CONCURRENCY, Need.BATCHES, Need.PARTITIONS})


class Standing(NamedTuple):
    """A worker that is ready before the first event: of one function, or a KaaS executor (EVERY_FUNCTION).

    share: part of the device's multiprocessors that its kernels may use, at most 1. memory_bytes: what it takes of
    the device's memory, context included; None for a whole device. concurrency: invocations that it runs at once.
    """

    device: int
    function: int = EVERY_FUNCTION
    share: float = 1.0
    memory_bytes: int | None = None
    concurrency: int = 1

    @property
    def kind(self) -> WorkerKind:
        """An executor or a process of one function."""
        return kind_of(self.function)


def kind_of(function: int) -> WorkerKind:
    """What a worker is that serves this function, or EVERY_FUNCTION."""
    return WorkerKind.KAAS if function == EVERY_FUNCTION else WorkerKind.EXCLUSIVE


def slot_number(device: int, instance: int, n_devices: int) -> int:
    """The number of an instance of a device, see Slot."""
    return device + (instance + 1) * n_devices


def share_devices(standing: Sequence[Standing]) -> bool:
    """Whether some of these workers don't have a device for themselves, or run several invocations at once."""
    parts = any(s.share < 1 or s.memory_bytes is not None or s.concurrency > 1 for s in standing)
    return parts or len({s.device for s in standing}) < len(standing)


#: What a world reports.
Event: TypeAlias = Arrival | Finished | WorkerReady | WorkerStopped | Loaded | DeviceChanged | Woke
#: What a policy orders.
Action: TypeAlias = Run | Start | Stop | Load | Evict | Preempt | Partition | Scale | Reject | Wake


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

    workers: the kinds that it orders; expectations (``Costs``) are of the first. needs: what it orders beyond running
    whole workers.
    """

    workers: ClassVar[tuple[WorkerKind, ...]]
    needs: ClassVar[frozenset[Need]]

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
