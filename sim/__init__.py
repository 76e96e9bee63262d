"""Discrete-event simulator of GPU fleets that serve serverless functions: ``from sim import simulate``."""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """``simulate`` and ``sweep``, which are imported when they are asked for: they need what takes time to import."""
    if name in ("simulate", "sweep"):
        from sim.api import simulate, sweep

        return simulate if name == "simulate" else sweep
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
