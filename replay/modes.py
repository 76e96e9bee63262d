"""How workers share a device, and which of these ways this harness has."""

from __future__ import annotations

from replay.errors import ReplayError
from sim.protocol import Policy

MODES = {
    "kaas": "one executor process a GPU, shared by all functions",
    "exclusive": "one process and CUDA context a function, started and killed as the policy says",
    "static": "processes of fixed functions, one a GPU",
    "fractional": "processes that share a GPU by MPS",
    "green": "processes that share a GPU by green contexts",
}

_MISSING = {
    "static": "no policy keeps fixed workers",
    "fractional": "no policy places several workers on a GPU at a time, which is what an MPS daemon would be for",
    "green": "no policy places several workers on a GPU at a time, which is what green contexts would be for",
}


def check_mode(mode: str | None, policy: Policy) -> str:
    """The mode of a run: as asked, else the policy's own. Raises ReplayError for one that can't be had, saying why."""
    own = policy.kind.value
    if mode is None or mode == own:
        return own
    if mode in _MISSING:
        raise ReplayError(f"mode {mode!r} is not supported: {_MISSING[mode]}")
    raise ReplayError(f"mode {mode!r} does not fit {policy.describe()}, which is for workers of the mode {own!r}")
