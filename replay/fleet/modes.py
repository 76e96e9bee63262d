"""How workers share a device, and which of these ways fit a policy and a machine."""

from __future__ import annotations

from collections.abc import Sequence

from replay.device.mps import check_daemon
from replay.errors import ReplayError
from sim.domain import WorkerKind
from sim.policies.fractional import Fractional
from sim.policies.static import Static
from sim.protocol import Policy, Standing
from sim.settings import unknown

MODES = {
    "kaas": "one executor process a GPU, shared by all functions",
    "exclusive": "one process and CUDA context a function, started and killed as the policy says",
    "static": "processes of fixed functions, each with a GPU of its own",
    "fractional": "processes of fixed functions that share GPUs by MPS",
    "green": "processes of fixed functions, each in a green context of a GPU that they share",
}
SHARING = {"fractional": "MPS", "green": "green contexts"}  # modes of workers with parts of a GPU -> by what


def modes_of(policy: Policy) -> tuple[str, ...]:
    """The modes that fit a policy, its own first."""
    if WorkerKind.KAAS in policy.workers:
        return ("kaas",)
    if isinstance(policy, Fractional):
        return tuple(SHARING)
    return ("static",) if isinstance(policy, Static) else ("exclusive",)


def check_mode(mode: str | None, policy: Policy, device: str) -> str:
    """The mode of a run: as asked, else the policy's own. Raises ReplayError for one that can't be had, saying why."""
    fitting = modes_of(policy)
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


def check_shares(mode: str, policy: Policy, standing: Sequence[Standing]) -> None:
    """Raise ReplayError for workers with parts of GPUs in a mode that would give them whole ones."""
    if mode not in SHARING and any(worker.share < 1 for worker in standing):
        raise ReplayError(
            f"{policy.describe()} gives its workers parts of GPUs, which the mode {mode!r} can't; "
            f"a policy for {' or '.join(map(repr, SHARING))} derives from Fractional"
        )
