"""Arguments and options that commands share."""

from __future__ import annotations

from pathlib import Path

import click

runs_argument = click.argument("paths", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
verify_option = click.option("--no-verify", "verify", flag_value=False, default=True,
                       help="Read runs even if their files are not those that the run wrote.")  # fmt: skip
label_option = click.option(
    "--label",
    "names",
    metavar="NAME",
    multiple=True,
    help="What to call a run; once for each, in their order.  [default: its policy, and in what the runs differ]",
)


def _inches(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """The width of a figure: that of one column, of both, or a number."""
    from analysis.series.widths import width_in

    try:
        return width_in(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


width_option = click.option(
    "--width",
    "wide_in",
    metavar="column|text|INCHES",
    callback=_inches,
    default="column",
    show_default=True,
    help="Of the figures: one column of a paper (3.3 inches), both (7), or a number of inches.",
)


def _wanted(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Factors and the values that they must have."""
    wanted = {}
    for value in values:
        factor, equals, text = value.partition("=")
        if not (factor and equals and text) or factor in wanted:
            raise click.BadParameter(f"{value!r} must be FACTOR=VALUE, each factor once")
        wanted[factor] = text
    return wanted


where_option = click.option("--where", metavar="FACTOR=VALUE", multiple=True, callback=_wanted,
                            help="Only runs with this value; once for each factor.")  # fmt: skip
