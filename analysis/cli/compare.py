"""The commands ``analyze compare`` and ``analyze interval``: what can be said of policies, and of one long run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from analysis.cli.options import where_option
from sim.terminal.console import ProjectCommand, echo

_PATH = click.Path(path_type=Path)
_CONFIDENCE = click.option(
    "--confidence",
    type=click.FloatRange(0.5, 1, max_open=True),
    default=0.95,
    show_default=True,
    help="Of the intervals; a verdict may be wrong in the rest.",
)


def _listed(ctx: click.Context, param: click.Parameter, value: str | None) -> list[str] | None:
    """What is between commas."""
    return None if value is None else [part.strip() for part in value.split(",") if part.strip()]


@click.command(cls=ProjectCommand)
@click.argument("path", metavar="DATASET", type=_PATH)
@click.option("--baseline", metavar="POLICY", help="With what to compare.  [default: that of the study's report]")
@click.option("--metric", "metrics", metavar="NAME,...", callback=_listed,
              help="p99, goodput, jain, ..., or numbers of the summary, such as latency_s.p90.  "
              "[default: those of the study's report]")  # fmt: skip
@click.option("--by", metavar="FACTOR,...", callback=_listed,
              help="Factors to tell apart; over others a seed's number is the mean.  [default: all]")  # fmt: skip
@where_option
@_CONFIDENCE
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "csv", "markdown", "latex"]),
    default="text",
    show_default=True,
    help="csv has every number unrounded; the others are for people.",
)
@click.option("--json", "as_json", is_flag=True, help="What csv has, as JSON, for machines.")
def compare(
    path: Path,
    baseline: str | None,
    metrics: list[str] | None,
    by: list[str] | None,
    where: dict[str, str],
    confidence: float,
    form: str,
    as_json: bool,
) -> None:
    """Compare the policies of a study with a baseline: effect, interval and verdict of each.

    DATASET is what `simulate sweep` made, or a folder of runs with several seeds. Runs of two policies with the same
    seed make a pair; a seed that lacks one of them is left out, and stands below the table. Differences of means have
    paired t intervals, those of quantiles and all ratios BCa bootstraps. A verdict needs a p that holds after Holm's
    correction over all comparisons of the table. Where work piles up the verdict is "not steady", and the numbers of
    such runs are not shown. docs/statistics.md has the formulas.

    \b
    Example:
      analyze compare out --baseline balance --metric p99,goodput,jain
      analyze compare out --where gpus=4 --format latex
    """
    from analysis import verdicts
    from analysis.compare import as_latex, as_markdown, as_text
    from analysis.comparison import compare_policies
    from analysis.dataset import open_dataset
    from analysis.measures import measure

    data = open_dataset(path)
    chosen = [measure(name) for name in metrics or ()]
    effects = compare_policies(data, baseline, chosen, by=by, where=where, confidence=confidence)
    if as_json:
        click.echo(verdicts.as_json(effects))
    elif form == "csv":
        echo(verdicts.as_csv(effects))
    else:
        write: dict[str, Callable[..., str]] = {"text": as_text, "markdown": as_markdown, "latex": as_latex}
        echo(write[form](verdicts.tabulate(effects, data.report.looks, confidence)))


@click.command(cls=ProjectCommand)
@click.argument("path", metavar="RUN", type=_PATH)
@click.option("--metric", metavar="NAME", default="mean-latency", show_default=True,
              help="A mean over invocations: mean-latency, mean-queue or pool_s.mean.")  # fmt: skip
@_CONFIDENCE
@click.option("--json", "as_json", is_flag=True, help="The same as JSON, for machines.")
def interval(path: Path, metric: str, confidence: float, as_json: bool) -> None:
    """Print the interval of a mean within one long run, by batches of its invocations.

    What the run measures, without its first tenth if it has no warm-up of its own, is cut into 20 batches, or 10 where
    these are too much alike from one to the next. Runs with other seeds say more: see `analyze compare`.
    docs/statistics.md has the formulas.

    \b
    Example:
      analyze interval runs/demo/runs/affinity
    """
    import json

    from analysis.compare import digits
    from analysis.measures import measure
    from analysis.onerun import inside
    from analysis.runs import open_runs
    from sim.errors import RunError

    runs = open_runs([path])
    if len(runs) != 1:
        raise RunError(f"{path}: is a folder of {len(runs)} runs, must be one")
    chosen = measure(metric)
    found = inside(runs[0], chosen, confidence)
    told = found.means.interval
    facts: dict[str, Any] = {
        "metric": chosen.name,
        "unit": chosen.unit,
        "estimate": told.estimate,
        "low": told.low if told.known else None,
        "high": told.high if told.known else None,
        "confidence": confidence,
        "method": told.method,
        "n": found.n,
        "n_cut": found.n_cut,
        "n_cut_mser5": found.suggested,
        "lag1": found.means.lag1 if told.n else None,
        "p_independent": found.means.p if told.n else None,
    }
    if as_json:
        click.echo(json.dumps(facts, indent=1))
        return
    ends = told.method.replace("none", "no interval")
    if told.known:
        ends = f"{100 * confidence:g} % interval [{digits(told.low)}, {digits(told.high)}] by {told.method}"
    suggests = "finds no end of it" if found.suggested is None else f"suggests {found.suggested:,}"
    echo(f"{chosen.axis}: {digits(told.estimate)}, {ends}")
    echo(f"{found.n:,} completed invocations, without the first {found.n_cut:,} as warm-up; MSER-5 {suggests}")
    if told.n:
        echo(f"lag-1 correlation of the batches {found.means.lag1:.2f}, p {found.means.p:.2f} if there is none")
