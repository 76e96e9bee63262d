"""What driver and workers say to each other. Instants are ``time.monotonic_ns()``, one clock for all processes.

A worker is born with a pipe and shared memory, is told its Assignment, answers Ready or Broken, and then answers
each Job with Done, Failed or Late, in order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import Any, NamedTuple

from replay.fleet.shm import Place
from sim.domain import Function

EXECUTOR = "replay.executor.executor:Executor"


@dataclass(frozen=True)
class Assignment:
    """What a worker is to be.

    device: as for ``replay.device.cuda.open_device``. functions: those that it can run; places: where their data lie.
    executor: import path of the class that runs graphs. memory_limit_bytes: of an executor, None for 90 % of what is
    free. preload: have modules and constants on the device before being ready, as exclusive workers do. mode: of
    ``replay.fleet.modes``. share: of the multiprocessors of a GPU, in the modes in which workers share them.
    Without data, a worker compiles the kernels of its functions, says what there is, and leaves: see Ready.facts.
    """

    device: str
    functions: tuple[Function, ...]
    places: dict[str, dict[str, Place]]
    executor: str
    memory_limit_bytes: int | None = None
    preload: bool = False
    mode: str = "kaas"
    share: float = 1.0


@dataclass(frozen=True)
class Ready:
    """The worker can run jobs. Each instant ends a stage of its start.

    facts, of a worker without data: name, arch, memory_bytes, free_bytes, versions and PCI ids of the device;
    n_multiprocessors, and usable_multiprocessors: how many of them this worker may use, both None on a CPU;
    limit_bytes and capacity_bytes of an executor: the memory it takes, and what of it is for buffers.
    """

    entered_ns: int  # the interpreter runs: stage process
    imported_ns: int  # libraries, also those of the device, and the mapping of the data: runtime
    opened_ns: int  # the device is open and the executor has its memory there: context
    modules_ns: int  # kernels are loaded, of a worker that preloads: modules
    ready_ns: int  # constants are in pinned memory, and on the device if it preloads: constants
    facts: dict[str, Any] = field(default_factory=dict)


class Broken(NamedTuple):
    """The worker can't start; the message is for the user."""

    message: str


class Job(NamedTuple):
    """Run an invocation of a function, unless it can't begin by ``latest_ns``."""

    invocation: int
    function: int
    latest_ns: float = inf


class Done(NamedTuple):
    """A job is completed: when, and where its time went.

    load_s: loading of modules, and copies to the device. run_s: kernels, by events of the device. host_s: what neither
    these nor copies from the device took of the time between the two instants. changes: of device memory
    since the last, as ``sim.models.watched.Tell`` has them.
    """

    invocation: int
    started_ns: int
    ended_ns: int
    load_s: float
    run_s: float
    host_s: float
    constant_bytes: int
    n_evicted: int
    changes: tuple[tuple[int, int, str], ...] = ()


class Failed(NamedTuple):
    """A job has failed. fatal: the worker leaves, since its context is unusable."""

    invocation: int
    reason: str
    fatal: bool


class Late(NamedTuple):
    """It was too late to begin a job."""

    invocation: int
