"""Discrete-event simulator of GPU fleets that serve serverless functions: ``from sim import simulate, sweep``."""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """What is for use from Python, imported when it is asked for: it needs what takes time to import."""
    if name == "simulate":
        from sim.api import simulate

        return simulate
    if name == "sweep":
        from sim.api import sweep

        return sweep
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
