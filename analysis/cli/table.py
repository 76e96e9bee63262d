"""``analyze table``: runs side by side."""

from __future__ import annotations

from pathlib import Path

import click

from analysis.cli.options import label_option, runs_argument, verify_option
from sim.terminal.console import ProjectCommand, echo


@click.command(cls=ProjectCommand)
@runs_argument
@label_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "csv", "markdown", "latex"]),
    default="text",
    show_default=True,
    help="csv has every number of the summaries, unrounded; the others are for people.",
)
@click.option("--json", "as_json", is_flag=True, help="The summaries as JSON, for machines.")
@click.option("--exact", is_flag=True, help="Percentiles from the tables of the runs.")
@click.option("--prices", "price_file", metavar="FILE.yaml", type=click.Path(path_type=Path),
              help="What an hour of each GPU costs; adds the cost of each run.")  # fmt: skip
@verify_option
def table(
    paths: tuple[Path, ...],
    names: tuple[str, ...],
    form: str,
    as_json: bool,
    exact: bool,
    price_file: Path | None,
    verify: bool,
) -> None:
    """Print a table of the runs, one row each.

    Latency runs from scheduled arrival to completion, and queue from arrival until a GPU begins, over completed
    invocations; of more than 65,536 of them the percentiles are within 0.4 %, unless --exact is given. Cache hits are
    the share of those that neither loaded constants nor waited for the start of their worker. A GPU is occupied while
    it does not idle: by kernels, loads and dispatch. Copied in are the bytes from host to device, and fairness is
    Jain's index: docs/metrics.md has the formulas. Settings in which the runs differ are columns, too. Invalid runs
    have a star, and their reasons and all warnings stand below.

    \b
    Example:
      analyze table runs/demo
      analyze table runs/demo/runs/balance runs/demo/runs/affinity --format latex
    """
    from analysis import compare as tables
    from analysis.runs import open_runs, with_cost, with_exact_quantiles
    from sim.records.prices import read_prices

    prices = None if price_file is None else read_prices(price_file)
    runs = open_runs(paths, verify=verify)
    if exact:
        runs = [with_exact_quantiles(run) for run in runs]
    more = []
    if prices is not None:
        runs = [with_cost(run, prices) for run in runs]
        more = [tables.Column("cost", prices.currency, ("cost",), tables.digits)]
    if as_json:
        click.echo(tables.as_json(runs, names))
    elif form == "csv":
        echo(tables.as_csv(runs, names))
    else:
        write = {"text": tables.as_text, "markdown": tables.as_markdown, "latex": tables.as_latex}[form]
        echo(write(tables.compare(runs, names, more)))
