"""``simulate size``: the smallest fleet that meets a goal."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sim.cli.options import jobs_option
from sim.cli.sweep import factors_of
from sim.errors import ScenarioError
from sim.terminal.console import INVALID, ProjectCommand, echo, note, quiet_option
from sim.terminal.progress import points

if TYPE_CHECKING:
    from sim.sweeps.size import Sizing
    from sim.sweeps.study import Study


@click.command(cls=ProjectCommand)
@click.argument("traces", nargs=-1, metavar="TRACE...", type=click.Path(path_type=Path))
@click.option("--policy", required=True, metavar="NAME[k=v,...]", help="See 'simulate policies'.")
@click.option(
    "--slo", metavar="METRIC<VALUE|OBJECTIVE", help="What to meet, as p99<1s; or deadlines for --attain, as 0.5s or 3x."
)
@click.option(
    "--attain", metavar="SHARE", help="The share of invocations that has to meet the deadlines of --slo, as 99%."
)
@click.option("--over", default="gpus", show_default=True, metavar="KEY",
              help="What grows: gpus, memory_gib (of each GPU), or any other key of whole numbers.")  # fmt: skip
@click.option("--least", type=click.IntRange(min=1), default=1, show_default=True, help="The smallest size to try.")
@click.option("--most", type=click.IntRange(min=1), default=1024, show_default=True, help="The greatest size to try.")
@click.option("--seeds", type=click.IntRange(min=1), default=5, show_default=True, help="Runs of each size.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Repeatable: a key of the scenario.")
@click.option("--scenario", type=click.Path(path_type=Path), metavar="FILE.yaml", help="A scenario to start from.")
@click.option("--prices", "price_file", metavar="FILE.yaml", type=click.Path(path_type=Path),
              help="What an hour of each GPU costs; adds that of each size.")  # fmt: skip
@jobs_option
@click.option("--out", "-o", required=True, type=click.Path(path_type=Path), metavar="DIR",
              help="The folder of the sweep that it takes: a new one, or one to go on with.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@quiet_option
def size(
    traces: tuple[Path, ...],
    policy: str,
    slo: str | None,
    attain: str | None,
    over: str,
    least: int,
    most: int,
    seeds: int,
    settings: tuple[str, ...],
    scenario: Path | None,
    price_file: Path | None,
    jobs: Any,
    out: Path,
    as_json: bool,
) -> None:
    """Search the smallest fleet with which a policy meets a goal, by runs with several seeds each.

    A size meets it when the mean of the metric over seeds does; it surely does, or surely fails, when all of the mean's
    95 % interval says so. A size with which work piles up, or a run is not valid, fails. DIR is then the folder of a
    sweep over all sizes that were tried, for 'analyze'. Exits 1 when no size meets the goal.

    \b
    Example:
      simulate size azure2019/ --policy affinity --slo 'p99<1s' -o sizes/p99
      simulate size azure2019/ --policy keepalive --slo 3x --attain 99% --set window=08:00-09:00 -o sizes/attain
    """
    from sim.records.prices import read_prices
    from sim.sweeps.goal import parse_goal
    from sim.sweeps.size import Stopped, smallest

    keys = {key: values[0] for key, values in factors_of(settings).items() if _is_single(key, values)}
    if attain is not None:
        if slo is None:
            raise ScenarioError("--attain: needs --slo, the deadlines that are to be met, as 0.5s or 3x")
        keys["slo"], goal = slo, parse_goal(f"attainment>{attain}", "--attain")
    elif slo is not None:
        goal = parse_goal(slo, "--slo")
    else:
        raise ScenarioError("no goal: give --slo 'p99<1s', say, or --slo 3x --attain 99%")
    if least > most:
        raise ScenarioError(f"--least {least}: must be at most --most, {most}")
    prices = None if price_file is None else read_prices(price_file)
    study = _study(traces, scenario, policy, keys, seeds)
    try:
        sizing = smallest(
            study, goal, out, over=over, least=least, most=most, prices=prices, jobs=jobs, note=note, bar=points
        )
    except Stopped:
        echo("Stopped: the same command goes on from here.", err=True)
        sys.exit(INVALID)
    _tell(sizing, policy, most, prices.currency if prices is not None else "", as_json=as_json)
    if sizing.found.smallest is None:
        sys.exit(INVALID)


def _is_single(key: str, values: list[str | float]) -> bool:
    if len(values) != 1:
        raise ScenarioError(f"--set {key}: has {len(values)} values; it takes one")
    return True


def _study(traces: tuple[Path, ...], scenario: Path | None, policy: str, keys: dict[str, Any], seeds: int) -> Study:
    from sim.sweeps.study import POLICY, make_study

    if scenario is None and not traces:
        raise ScenarioError("no trace: name files or directories, or give a --scenario that does")
    base: Any = {"traces": [str(path) for path in traces]}
    if scenario is not None:
        if traces:
            raise ScenarioError(f"{traces[0]}: is left out with --scenario, which names its traces")
        base = str(scenario)
    factors = {POLICY: [policy], **{key: [value] for key, value in keys.items()}}
    return make_study({"name": "size", "scenario": base}, {"factors": factors, "seeds": seeds}, "--set", Path.cwd())


def _tell(sizing: Sizing, policy: str, most: int, currency: str, *, as_json: bool) -> None:
    found, goal = sizing.found, sizing.goal
    if as_json:
        sizes = [
            {
                sizing.over: size.n,
                "estimate": None if size.why_not else size.interval.estimate,
                "low": size.interval.low if size.interval.known else None,
                "high": size.interval.high if size.interval.known else None,
                "verdict": size.verdict.name.lower().replace("_", " "),
                "why_not": size.why_not,
                "per_hour": size.per_hour,
            }
            for size in sizing.tried
        ]
        facts: dict[str, Any] = {"currency": currency} if currency else {}
        facts |= {"policy": policy, "goal": goal.text, "over": sizing.over, **asdict(found), "sizes": sizes}
        click.echo(json.dumps(facts, indent=1))
        return
    echo(f"{sizing.over:>10}  {goal.measure.axis:>24}  {'95 % interval':>22}  {goal.text}")
    for size in sizing.tried:
        numbers = f"{'-':>24}  {'-':>22}"
        if not size.why_not:
            known = size.interval.known
            low_high = f"{size.interval.low:.4g} to {size.interval.high:.4g}" if known else "-"
            numbers = f"{size.interval.estimate:>24.4g}  {low_high:>22}"
        words = {0: "no", 1: "no, not surely", 2: "yes, not surely", 3: "yes"}[size.verdict]
        cost = "" if size.per_hour is None else f"; {size.per_hour:.4g} {currency} an hour"
        echo(f"{size.n:>10,}  {numbers}  {words}{f' ({size.why_not})' if size.why_not else ''}{cost}")
    if found.smallest is None:
        echo(f"\nno {sizing.over} up to {most:,} is enough for {policy} to meet {goal.text}")
        return
    surely = f"{found.low:,} to {found.high:,}" if found.high is not None else f"from {found.low:,}"
    echo(f"\n{policy} meets {goal.text} with {sizing.over} {found.smallest:,} (95 %: {surely})")
    if found.odd:
        echo(f"though not with {', '.join(f'{n:,}' for n in found.odd)}: more seeds, or a longer trace, would tell why")
