"""Discrete-event simulator of GPU fleets that serve serverless functions: ``from sim import simulate``."""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """``simulate``, which is imported when it is asked for: it needs what takes time to import."""
    if name == "simulate":
        from sim.api import simulate

        return simulate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
