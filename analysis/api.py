"""Tables, comparisons and figures from Python. ``analyze plot`` is thin over ``plot``; other commands write text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis import comparison, measures, paper, verdicts
from analysis.compare import records
from analysis.curves import horizon_s, measure, plot_labels
from analysis.dataset import Dataset
from analysis.figures import runs as figures
from analysis.runs import flatten, with_exact_quantiles
from analysis.series.widths import WIDTH_IN
from analysis.statistics.interval import CONFIDENCE
from analysis.study_report import Value, read_report
from sim.records.results import Run

if TYPE_CHECKING:
    from os import PathLike

    import pandas as pd


def table(runs: Sequence[Run], names: Sequence[str] = (), *, exact: bool = False) -> pd.DataFrame:
    """Every number of the summaries, a row each run, as ``analyze table --format csv`` prints them.

    names: what the runs are called, in their order; by default that in which they differ. exact: take quantiles from
    the table of invocations. Raises RunError for a summary that lacks a key, or a table that can't be read.
    """
    import pandas as pd

    if exact:
        runs = [with_exact_quantiles(run) for run in runs]
    return pd.DataFrame([flatten(record) for record in records(runs, names)])


def effects(
    data: Dataset,
    baseline: str | None = None,
    metrics: Sequence[str] = (),
    *,
    by: Sequence[str] | None = None,
    where: Mapping[str, Value] | None = None,
    confidence: float = CONFIDENCE,
) -> pd.DataFrame:
    """What each policy changes against the baseline, as ``analyze compare --format csv`` prints it.

    A row for each metric, combination of factors and policy: its mean and the baseline's, their difference and ratio
    with intervals, p, and the verdict. metrics: names of ``analysis.measures``. baseline, metrics: by default those of
    the study's report. by: factors whose combinations are told apart, by default all. where: values of factors that
    runs must have. Raises RunError for names that the data set lacks.
    """
    import pandas as pd

    named = [measures.measure(metric) for metric in metrics]
    found = comparison.compare_policies(data, baseline, named, by=by, where=where, confidence=confidence)
    return pd.DataFrame(verdicts.records(found))


def plot(
    runs: Sequence[Run],
    out: str | PathLike[str],
    names: Sequence[str] = (),
    *,
    width_in: float = WIDTH_IN,
    tell: Callable[[Run], None] = lambda _: None,
) -> list[Path]:
    """Draw the figures of ``analyze plot`` into a folder, as PDF and PNG; returns their paths.

    Older figures in the folder are replaced, all at once. names: see ``table``. width_in: of the figures, in inches.
    tell: called with each run before it is read. Raises RunError for bad runs and OutputError where it can't write.
    """
    folder = Path(out)
    with figures.place(len(runs), folder) as place:
        horizon = horizon_s(runs)
        curves = []
        for run, label in zip(runs, plot_labels(runs, names), strict=True):
            tell(run)
            curves.append(measure(run, label, horizon))
        drawn = figures.draw(curves, place, width_in)
    return [folder / name for name in drawn]


def draw(
    data: Dataset,
    out: str | PathLike[str],
    figures: Sequence[Mapping[str, Any]] = (),
    *,
    width_in: float = WIDTH_IN,
) -> list[Path]:
    """Draw figures of a data set into a folder, each as PDF, PNG and CSV of what it draws; returns their paths.

    figures: as under ``report`` in a study, such as {"figure": "lines", "metric": "p99", "x": "gpus"}; without any,
    all that the study's report asks for, and the table that compares its policies, as ``analyze paper`` makes them.
    width_in: of figures that don't say theirs, in inches. Files of an earlier call are replaced, all at once. Raises
    ScenarioError for a figure that is told something wrong, RunError for runs that lack it, OutputError where it can't
    write.
    """
    if not figures:
        return paper.make(data, out, wide_in=width_in)
    asked = read_report({"figures": [*figures]}, "draw", [*data.report.looks], data.factors)
    return paper.draw(data, asked.figures, out, wide_in=width_in)
