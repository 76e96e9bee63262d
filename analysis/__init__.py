"""Tables and figures of runs and studies, whichever world wrote them, for use from Python and by ``analyze``."""

from typing import Any


def __getattr__(name: str) -> Any:
    """What is for use from Python, imported when it is asked for: it needs what takes time to import."""
    if name == "open_runs":
        from analysis.runs import open_runs

        return open_runs
    if name == "open_dataset":
        from analysis.dataset import open_dataset

        return open_dataset
    if name == "table":
        from analysis.api import table

        return table
    if name == "effects":
        from analysis.api import effects

        return effects
    if name == "draw":
        from analysis.api import draw

        return draw
    if name == "plot":
        from analysis.api import plot

        return plot
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
