"""How workers share a device, and which of these ways fit what a policy orders, and a machine."""

from __future__ import annotations

from collections.abc import Sequence

from replay.device.mps import check_daemon
from replay.errors import ReplayError
from sim.domain import WorkerKind
from sim.protocol import Need, Policy, Standing
from sim.settings import unknown

MODES = {
    "kaas": "one executor process a GPU, shared by all functions",
    "exclusive": "one process and CUDA context a function, started and killed as the policy says",
    "static": "processes of fixed functions, each with a GPU of its own",
    "fractional": "processes of fixed functions that share GPUs by MPS",
    "green": "processes of fixed functions, each in a green context of a GPU that they share",
    "shared": "processes with a part of a GPU's memory each, started and killed as the policy says",
}
SHARING = {"fractional": "MPS", "green": "green contexts"}  # modes of workers with parts of a GPU -> by what
TOGETHER = (*SHARING, "shared")  # modes in which workers have neighbours on their GPU
CARRIED = (Need.TIMERS, Need.SHARED_DEVICES, Need.EXECUTORS, Need.LATEST)  # of what a policy may need


def modes_of(policy: Policy, standing: Sequence[Standing]) -> tuple[str, ...]:
    """The modes that fit what a policy orders, its own first. standing: its workers of the beginning."""
    if any(worker.share < 1 for worker in standing):
        return tuple(SHARING)
    if Need.SHARED_DEVICES in policy.needs or any(worker.memory_bytes is not None for worker in standing):
        return ("shared",)
    if WorkerKind.KAAS in policy.workers:
        return ("kaas",)
    return ("static", *SHARING) if standing else ("exclusive",)


def check_needs(policy: Policy) -> None:
    """Raise ReplayError for a policy that needs what a replay can't carry, naming it."""
    if lacking := [need.value for need in Need if need in policy.needs and need not in CARRIED]:
        raise ReplayError(
            f"{policy.describe()} needs {', '.join(lacking)}, which no mode of a replay can carry; of what "
            f"policies may need, it carries {', '.join(need.value for need in CARRIED)}"
        )


def check_mode(mode: str | None, policy: Policy, standing: Sequence[Standing], device: str) -> str:
    """The mode of a run: as asked, else the policy's own. Raises ReplayError for one that can't be had, saying why."""
    check_needs(policy)  # again, for it may have learnt of some in ``reset``
    fitting = modes_of(policy, standing)
    chosen = mode or fitting[0]
    if chosen not in MODES:
        raise ReplayError(unknown("mode", chosen, MODES))
    if chosen not in fitting:
        raise ReplayError(
            f"mode {chosen!r} does not fit {policy.describe()}, which is for workers of the mode "
            f"{' or '.join(map(repr, fitting))}"
        )
    if chosen in SHARING and not device.startswith("cuda:"):
        raise ReplayError(
            f"mode {chosen!r} needs an NVIDIA GPU, which {SHARING[chosen]} can share; the device is {device!r}"
        )
    if chosen == "fractional":
        check_daemon()
    return chosen


def check_standing(mode: str, policy: Policy, standing: Sequence[Standing]) -> None:
    """Raise ReplayError for workers that a mode can't have, now that the policy knows the memory of the devices."""
    if mode not in (fitting := modes_of(policy, standing)):
        raise ReplayError(
            f"{policy.describe()} begins with workers of the mode {' or '.join(map(repr, fitting))}, which the mode "
            f"{mode!r} can't have"
        )
