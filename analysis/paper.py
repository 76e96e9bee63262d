"""What a paper needs of a data set: figures, and the table that compares policies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from os import PathLike
from pathlib import Path

from analysis.compare import as_latex, as_markdown
from analysis.comparison import compare_policies
from analysis.dataset import Dataset
from analysis.figures.sets.draw import SUFFIXES, write
from analysis.figures.style import MARK, old_figures
from analysis.series.kinds import WIDTH, check_all, file_name, series
from analysis.series.widths import WIDTH_IN, width_in
from analysis.statistics.interval import CONFIDENCE
from analysis.study_report import FigureSpec
from analysis.verdicts import as_csv, tabulate
from sim.errors import RunError
from sim.files.output import new_directory, write_text

TABLE = "comparison"
_COMMENTS = {".csv": "# {}", ".md": "<!-- {} -->", ".tex": "% {}"}


def make(
    dataset: Dataset,
    out: str | PathLike[str],
    *,
    wide_in: float = WIDTH_IN,
    tell: Callable[[str], None] = lambda _: None,
) -> list[Path]:
    """All that the report of a study asks for, into a folder; returns the paths.

    Of each figure PDF, PNG and CSV, and the comparison with its baseline, if it names one, as CSV, Markdown and LaTeX.
    wide_in: of figures that don't say their width, in inches. tell: called with the name of each before it is made.
    Files of an earlier call are replaced, all at once. Raises RunError where the report asks for nothing, or runs lack
    something, and OutputError where it can't write.
    """
    if not dataset.report.figures and dataset.report.baseline is None:
        raise RunError(f"{dataset.path}: its study asks for no figures, and names no baseline to compare policies with")
    return draw(dataset, dataset.report.figures, out, wide_in=wide_in, tell=tell, table=True)


def draw(
    dataset: Dataset,
    specs: Sequence[FigureSpec],
    out: str | PathLike[str],
    *,
    wide_in: float = WIDTH_IN,
    tell: Callable[[str], None] = lambda _: None,
    table: bool = False,
) -> list[Path]:
    """Some figures of a data set, see ``make``. table: the comparison too, if the report names a baseline.

    Raises ScenarioError for a figure that isn't known or can't be told what it is told.
    """
    check_all(specs, "figures", dataset.factors)
    folder = Path(out)
    names = [f"{file_name(spec)}{suffix}" for spec in specs for suffix in SUFFIXES]
    compared = table and dataset.report.baseline is not None
    names += [f"{TABLE}{suffix}" for suffix in _COMMENTS] if compared else []
    with new_directory(folder, partial(old_figures, names=names)) as place:
        for spec in specs:
            tell(file_name(spec))
            own_in = width_in(spec.settings[WIDTH]) if WIDTH in spec.settings else wide_in
            write(spec.figure, series(dataset, spec), dataset.report.looks, own_in, place, file_name(spec))
        if compared:
            tell(TABLE)
            for suffix, text in _tables(dataset):
                write_text(place / f"{TABLE}{suffix}", text)
    return [folder / name for name in names]


def _tables(dataset: Dataset) -> Iterator[tuple[str, str]]:
    """The comparison in each form, with the runs that it is made of in a comment."""
    effects = compare_policies(dataset)
    shown = tabulate(effects, dataset.report.looks, CONFIDENCE)
    told = [f"{TABLE}, {MARK}", f"runs: {' '.join(dataset.frame['run'])}"]
    for suffix, text in ((".csv", as_csv(effects)), (".md", as_markdown(shown)), (".tex", as_latex(shown))):
        comments = "".join(f"{_COMMENTS[suffix].format(line)}\n" for line in told)
        yield suffix, f"{comments}{chr(10) if suffix == '.md' else ''}{text}\n"
