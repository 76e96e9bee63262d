"""How each figure of a data set is drawn, by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from analysis.figures.sets import distributions, factors, functions, parts, tradeoffs
from analysis.figures.sets.devices import heat, residency
from analysis.figures.sets.panels import Looks
from analysis.figures.sets.validation import validation
from analysis.figures.style import MARK, put
from analysis.series.table import Series
from sim.files.output import write_text

DRAWINGS: Mapping[str, Callable[[Series, Looks, float], Figure]] = {
    "cdf": distributions.cdf,
    "ccdf": distributions.ccdf,
    "attainment": distributions.attainment,
    "lines": factors.lines,
    "needed": factors.needed,
    "breakdown": parts.bars,
    "coldstart": parts.bars,
    "heat": heat,
    "residency": residency,
    "functions": functions.functions,
    "fairness": functions.fairness,
    "pareto": tradeoffs.pareto,
    "validation": validation,
}  # of ``analysis.series.kinds.KINDS``

SUFFIXES = (".pdf", ".png", ".csv")


def write(figure: str, series: Series, looks: Looks, width_in: float, place: Path, name: str) -> list[str]:
    """Draw a figure into a ``place`` of ``sim.files.output``: PDF, PNG, and a CSV of what it draws.

    Returns their names. Each tells the runs of which it is made; the CSV in a comment before its head.
    """
    files = [place / f"{name}{suffix}" for suffix in SUFFIXES]
    put(partial(DRAWINGS[figure], series, looks, width_in), *files[:2], runs=series.runs)
    comment = f"# {figure}, {MARK}\n# runs: {' '.join(series.runs)}\n"
    write_text(files[2], comment + series.table.to_csv(index=False, lineterminator="\n"))
    return [file.name for file in files]
