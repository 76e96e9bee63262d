"""Do 95 % intervals hold the truth in 95 % of studies? On M/M/c, where the truth is known.

Each study has three policies on the same arrivals: a baseline, one that serves 10 % faster, and one that is the same
as the baseline, with service times of its own. ``analyze compare``'s own functions judge each study; a replication is
50,000 customers after a warm-up, from which mean and p99 of the sojourn are taken as a run's summary has them.

    python -m benchmarks.coverage [--studies 500] [--seeds 10]
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import click
import numpy as np
import pandas as pd

from analysis.comparison import Effect, compare_policies
from analysis.dataset import Dataset
from analysis.measures import measure
from analysis.statistics.batches import batch_means
from analysis.statistics.interval import Floats, Interval
from analysis.statistics.replications import replicated
from analysis.study_report import read_report
from benchmarks.mmc import mean_sojourn_s, sojourn_quantile_s, sojourns_s

SERVERS, ARRIVALS_PER_S = 4, 3.2
RATES_PER_S = {"baseline": 1.0, "same": 1.0, "faster": 1.1}  # of one server
CUSTOMERS, WARM_UP = 50_000, 1_000
MEASURES = {name: measure(name) for name in ("mean-latency", "p99")}
AT_ONCE, RUNS_AT_ONCE = 25, 250  # studies and runs whose sojourns are held
BARS = {"mean-latency": (0.93, 0.97), "p99": (0.92, 1.0)}


Study: TypeAlias = dict[str, dict[str, Floats]]  # values by measure and policy, one a seed


def truth(name: str, policy: str) -> float:
    """What a measure of a policy really is."""
    mu = RATES_PER_S[policy]
    if name == "p99":
        return sojourn_quantile_s(0.99, SERVERS, ARRIVALS_PER_S, mu)
    return mean_sojourn_s(SERVERS, ARRIVALS_PER_S, mu)


def simulate(n_studies: int, n_seeds: int, customers: int = CUSTOMERS, seed: int = 0) -> Iterator[Study]:
    """Independent studies."""
    rng = np.random.default_rng(seed)
    for begin in range(0, n_studies, AT_ONCE):
        n = min(AT_ONCE, n_studies - begin)
        shape = (WARM_UP + customers, n * n_seeds)
        gaps_s = rng.exponential(1 / ARRIVALS_PER_S, shape)
        values: dict[str, dict[str, Floats]] = {name: {} for name in MEASURES}
        for policy, mu in RATES_PER_S.items():
            all_s = sojourns_s(gaps_s, rng.exponential(1 / mu, shape), SERVERS)
            kept_s = all_s[WARM_UP:]
            values["mean-latency"][policy] = kept_s.mean(axis=0).reshape(n, n_seeds)
            values["p99"][policy] = np.quantile(kept_s, 0.99, axis=0).reshape(n, n_seeds)
        for i in range(n):
            yield {name: {policy: v[i] for policy, v in of.items()} for name, of in values.items()}


def judge(study: Study) -> list[Effect]:
    """What ``analyze compare`` says of a study."""
    rows = [
        {"policy": policy, "seed": seed, **{m.column: study[name][policy][seed] for name, m in MEASURES.items()}}
        for policy in RATES_PER_S
        for seed in range(len(study["p99"][policy]))
    ]
    frame = pd.DataFrame(rows).assign(run="", valid=True, reasons="", warnings="", error="")
    report = read_report({}, "report", list(RATES_PER_S), [])
    data = Dataset(Path("coverage"), frame, (), report, Path("coverage"))
    return compare_policies(data, "baseline", list(MEASURES.values()))


def covers(interval: Interval, value: float) -> bool:
    """Whether the truth lies within."""
    return interval.low <= value <= interval.high


def tally(studies: Iterator[Study]) -> tuple[Counter[tuple[str, str]], Counter[str]]:
    """By measure and interval, in how many studies it held the truth; and other counts."""
    held: Counter[tuple[str, str]] = Counter()
    counts: Counter[str] = Counter()
    for study in studies:
        counts["studies"] += 1
        for name, of in study.items():
            alone = replicated(of["baseline"], skewed=MEASURES[name].quantile)
            held[name, "of one policy"] += covers(alone, truth(name, "baseline"))
        effects = judge(study)
        for effect in effects:
            name = effect.measure.name
            value, base = truth(name, effect.policy), truth(name, "baseline")
            held[name, f"difference, {effect.policy}"] += covers(effect.pairing.difference, value - base)
            held[name, f"ratio, {effect.policy}"] += covers(effect.pairing.ratio, value / base)
            counts[f"{effect.policy} {name} {effect.verdict}"] += 1
        wrong = {e.measure.name for e in effects if e.policy == "same" and e.verdict != "no difference shown"}
        counts["wrong"] += bool(wrong)
        for name in wrong:
            counts[f"wrong {name}"] += 1
    return held, counts


def one_run(n_runs: int, customers: int, seed: int = 1) -> tuple[int, int]:
    """Of so many runs from an empty start, how many have batches, and in how many of those they hold the mean."""
    rng = np.random.default_rng(seed)
    true_s, known, held = truth("mean-latency", "baseline"), 0, 0
    for begin in range(0, n_runs, RUNS_AT_ONCE):
        shape = (customers, min(RUNS_AT_ONCE, n_runs - begin))
        all_s = sojourns_s(rng.exponential(1 / ARRIVALS_PER_S, shape), rng.exponential(1, shape), SERVERS)
        found = [batch_means(run_s[customers // 10 :]).interval for run_s in all_s.T]
        known += sum(interval.known for interval in found)
        held += sum(covers(interval, true_s) for interval in found)
    return known, held


def tell(what: str, n: int, of: int, least: float, most: float) -> None:
    """A line: a share, its standard error, and whether it is within its bars."""
    share = n / of
    met = "" if (least, most) == (0, 1) else "met" if least <= share <= most else "MISSED"
    click.echo(f"{what:56} {100 * share:5.1f} % +- {100 * math.sqrt(share * (1 - share) / of):.1f}  {met}".rstrip())


@click.command(help=__doc__)
@click.option("--studies", default=500, show_default=True)
@click.option("--seeds", default=10, show_default=True, help="Replications of a policy in a study.")
@click.option("--customers", default=CUSTOMERS, show_default=True, help="Of a replication, after its warm-up.")
def main(studies: int, seeds: int, customers: int) -> None:
    """See above."""
    held, counts = tally(simulate(studies, seeds, customers))
    queue = f"M/M/{SERVERS} at a load of {ARRIVALS_PER_S / SERVERS:g}"
    click.echo(f"{queue}, {studies} studies, {seeds} seeds, {customers:,} customers\n")
    click.echo("95 % intervals that hold the truth")
    for (name, what), n in sorted(held.items()):
        tell(f"  {name}, {what}", n, studies, *BARS[name])
    click.echo("verdicts")
    tell("  the same policy is told apart, by any metric", counts["wrong"], studies, 0, 0.05)
    for name in MEASURES:
        tell(f"  {name}, the same policy is told apart", counts[f"wrong {name}"], studies, 0, 0.05)
        tell(f"  {name}, 10 % faster is found better", counts[f"faster {name} better"], studies, 0, 1)
    for n_customers in (customers // 4, customers):
        known, right = one_run(studies, n_customers)
        click.echo(f"batch means in one run of {n_customers:,}")
        tell("  runs that have an interval", known, studies, 0, 1)
        if known:
            tell("  of these, intervals that hold the truth", right, known, 0, 1)


if __name__ == "__main__":
    main()
