"""A synthetic trace in the exact file layout of Azure Functions 2019.

It follows what is published of the data set: Shahrad et al., "Serverless in the Wild", USENIX ATC 2020
(below: ATC), the figures that come with the data, and a genuine sample of 500 functions that InVitro
published (below: sample).

What it reproduces: functions per app and triggers of apps; the skew of rates, from one invocation to a head of a few
functions with most of the load; exact timer periods; bursty counts of the others; mean durations, their spread and
their negative correlation with rates; memory of apps.

What it doesn't: weekly cycles, bursts longer than a minute, functions that are not invoked at all, the relation between
trigger and rate (apart from timers), correlations between functions, and the defects of the published files.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from sim.errors import TraceError
from traces import synth_facts as facts
from traces.durations import POINTS
from traces.placement import MINUTE_S, Floats, Ints
from traces.readers.azure2019 import DURATIONS_HEADER, INVOCATIONS_HEADER, MEMORY_HEADER
from traces.readers.daily_files import MINUTES_A_DAY, Role


@dataclass(frozen=True)
class _Function:
    """Who a function is; numbers make the hashes."""

    owner: int
    app: int
    trigger: str


def write_azure2019(
    directory: Path,
    *,
    n_functions: int = 100,
    minutes: int = 60,
    rate_per_s: float = 30.0,
    seed: int = 0,
    overwrite: bool = False,
) -> tuple[Path, ...]:
    """Write one day, d01, of which the first ``minutes`` have invocations; returns the three files.

    Every function is invoked at least once, and all together about ``rate_per_s`` times a second on average over
    these minutes. The files are the same, byte for byte, for the same arguments and version of NumPy.
    An interrupted call leaves no invocations table, so the directory can't be mistaken for a trace.

    Raises TraceError when the numbers can't be met, a file is in the way and ``overwrite`` is false, or the
    disk refuses.
    """
    if n_functions < 1:
        raise TraceError(f"functions {n_functions!r}: must be 1 or more")
    if not 1 <= minutes <= MINUTES_A_DAY:
        raise TraceError(f"minutes {minutes!r}: must be 1 to {MINUTES_A_DAY}")
    least_per_s = n_functions / (minutes * MINUTE_S)
    if not least_per_s <= rate_per_s < math.inf:
        raise TraceError(
            f"rate {rate_per_s!r}: must be {least_per_s:.3g} or more invocations/s, "
            f"for each of {n_functions} functions to be invoked in {minutes} minutes"
        )
    if seed < 0:
        raise TraceError(f"seed {seed!r}: must be a whole number, 0 or more")
    # One stream a table: a change of the rate leaves functions, durations and memory as they are.
    who, when, how_long, how_big = (np.random.default_rng([seed, stream]) for stream in range(4))
    functions = _draw_functions(n_functions, who)
    counts = _draw_counts(functions, minutes, rate_per_s, when)
    ids = [_ids(seed, number, function) for number, function in enumerate(functions)]
    tables = {
        Role.MEMORY: chain([MEMORY_HEADER], _memory_rows(functions, ids, minutes, how_big)),
        Role.DURATIONS: chain([DURATIONS_HEADER], _duration_rows(ids, counts.sum(axis=1), how_long)),
        Role.INVOCATIONS: chain([INVOCATIONS_HEADER], _invocation_rows(functions, ids, counts)),
    }
    return _write(directory, {role.published_name(1): rows for role, rows in tables.items()}, overwrite)


def _draw_functions(n_functions: int, rng: np.random.Generator) -> list[_Function]:
    """Apps with their numbers of functions and triggers, until there are enough functions."""
    functions: list[_Function] = []
    owners: list[int] = []
    app = 0
    while len(functions) < n_functions:
        size = min(_draw_app_size(rng), n_functions - len(functions))
        combinations = [c for c in facts.TRIGGERS_OF_APP if len(c) <= size]
        weights = np.array([facts.TRIGGERS_OF_APP[c] for c in combinations])
        triggers = combinations[rng.choice(len(combinations), p=weights / weights.sum())]
        is_new = not owners or rng.random() < facts.OWNERS_PER_APP
        owners.append(app if is_new else int(rng.choice(owners)))
        functions += [_Function(owners[-1], app, triggers[i % len(triggers)]) for i in range(size)]
        app += 1
    return functions


def _draw_app_size(rng: np.random.Generator) -> int:
    """Between the published points the share of larger apps falls as a power of the size, which is rounded up."""
    log_survival = np.log1p(-np.array(facts.APP_SIZE_CDF))
    log_size = np.interp(rng.standard_exponential(), -log_survival, np.log(facts.APP_SIZE))
    return math.ceil(round(math.exp(log_size), 9))


def _draw_counts(functions: Sequence[_Function], minutes: int, rate_per_s: float, rng: np.random.Generator) -> Ints:
    """Invocations by function and minute: exact timers, and bursty others that share the rest of the rate."""
    counts = np.zeros((len(functions), minutes), np.int64)
    timers = [i for i, f in enumerate(functions) if f.trigger == "timer"]
    others = [i for i, f in enumerate(functions) if f.trigger != "timer"]
    periods = [p for p in facts.TIMER_PERIOD_SHARE if p <= minutes]
    shares = np.array([facts.TIMER_PERIOD_SHARE[p] for p in periods])
    for i in timers:
        period = int(rng.choice(periods, p=shares / shares.sum()))
        counts[i, int(rng.integers(period)) :: period] = 1
    if others:
        rest = rate_per_s * MINUTE_S * minutes - counts.sum()
        expected = _draw_rates(len(others), minutes, max(rest, len(others)), rng)
        cycle = 1 + facts.DAILY_SWING * np.sin(2 * np.pi * np.arange(minutes) / MINUTES_A_DAY)
        for i, total in zip(others, expected, strict=True):
            counts[i] = _bursty(total * cycle / cycle.sum(), facts.VARIANCE_TO_MEAN[functions[i].trigger], rng)
            if not counts[i].any():
                counts[i, rng.integers(minutes)] = 1
    return counts


def _draw_rates(n: int, minutes: int, total: float, rng: np.random.Generator) -> Floats:
    """Expected invocations of each function: at least 1 each, ``total`` together.

    One draw from each of n equal slices of the distribution, so that also small traces have a head.
    """
    least_a_day = MINUTES_A_DAY / minutes
    p_least = np.interp(math.log(least_a_day), np.log(facts.RATE_A_DAY), facts.RATE_CDF)
    p = p_least + (1 - p_least) * (np.arange(n) + rng.random(n)) / n
    body = np.exp(np.interp(p, facts.RATE_CDF, np.log(facts.RATE_A_DAY)))
    head_p, head_rate = facts.RATE_CDF[-1], facts.RATE_A_DAY[-1]
    head = head_rate * ((1 - head_p) / (1 - p)) ** (1 / facts.HEAD_PARETO_ALPHA)
    raw = np.minimum(np.where(p > head_p, head, body), facts.RATE_A_DAY_MAX) / least_a_day
    above = rng.permutation(np.maximum(raw - 1, 1e-9))
    return np.asarray(1 + above * (total - n) / above.sum())


def _bursty(mean: Floats, variance_to_mean: float, rng: np.random.Generator) -> Ints:
    """Negative binomial counts with these means and variances ``variance_to_mean`` times as large."""
    return rng.negative_binomial(mean / (variance_to_mean - 1), 1 / variance_to_mean)


def _duration_rows(
    ids: Sequence[tuple[str, str, str]], totals: Ints, rng: np.random.Generator
) -> Iterable[Sequence[Any]]:
    """LogNormal means, correlated with the rank of the rate; per function a LogNormal spread around them."""
    n = len(ids)
    rank = np.argsort(np.argsort(totals, kind="stable"))
    by_rate = facts.normal_quantile((rank + 0.5) / n)
    rho = facts.RATE_DURATION_CORRELATION
    score = rho * by_rate + math.sqrt(1 - rho**2) * rng.standard_normal(n)
    mean_ms = 1e3 * np.minimum(np.exp(facts.DURATION_MU + facts.DURATION_SIGMA * score), facts.DURATION_MAX_S)
    sigma = np.interp(rng.random(n), facts.SPREAD_CDF, facts.SPREAD_SIGMA)
    z = facts.normal_quantile(np.clip(np.array(POINTS) / 100, facts.EXTREME_P, 1 - facts.EXTREME_P))
    median_ms = mean_ms * np.exp(-(sigma**2) / 2)
    points_ms = np.rint(median_ms[:, None] * np.exp(sigma[:, None] * z)).astype(np.int64)
    for (owner, app, function), mean, count, points in zip(ids, mean_ms, totals, points_ms, strict=True):
        extremes = f"{points[0]}.0", f"{points[-1]}.0"  # published as text of floats
        yield owner, app, function, round(mean), count, *extremes, *points


def _memory_rows(
    functions: Sequence[_Function], ids: Sequence[tuple[str, str, str]], minutes: int, rng: np.random.Generator
) -> Iterable[Sequence[Any]]:
    """One Burr XII average an app and its typical percentiles."""
    first_of_app = {function.app: i for i, function in reversed(list(enumerate(functions)))}
    for app in range(len(first_of_app)):
        tail = (1 - rng.random()) ** (-1 / facts.MEMORY_BURR_K) - 1
        mean_mb = facts.MEMORY_BURR_SCALE_MB * tail ** (1 / facts.MEMORY_BURR_C)
        owner, hash_app, _ = ids[first_of_app[app]]
        percentiles = [max(1, round(mean_mb * ratio)) for ratio in facts.MEMORY_PERCENTILE_RATIOS]
        n_samples = minutes * facts.MEMORY_SAMPLES_A_MINUTE
        yield owner, hash_app, n_samples, max(1, round(mean_mb)), *percentiles


def _invocation_rows(
    functions: Sequence[_Function], ids: Sequence[tuple[str, str, str]], counts: Ints
) -> Iterable[Sequence[Any]]:
    rest_of_day = [0] * (MINUTES_A_DAY - counts.shape[1])
    for function, hashes, row in zip(functions, ids, counts, strict=True):
        yield *hashes, function.trigger, *row.tolist(), *rest_of_day


def _ids(seed: int, number: int, function: _Function) -> tuple[str, str, str]:
    """Owner, app and function as 64 hexadecimal digits, like the published ones."""
    names = f"owner {function.owner}", f"app {function.app}", f"function {number}"
    owner, app, own = (hashlib.sha256(f"{seed} {name}".encode()).hexdigest() for name in names)
    return owner, app, own


def _write(directory: Path, tables: dict[str, Iterable[Sequence[Any]]], overwrite: bool) -> tuple[Path, ...]:
    """Write all tables in a hidden directory and move them out at the end, in this order."""
    files = [directory / name for name in tables]
    if not overwrite and (existing := [file for file in files if file.exists()]):
        raise TraceError(f"{existing[0]}: is there already; --force overwrites it")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=directory, prefix=".partial-") as hidden:
            for name, rows in tables.items():
                with (Path(hidden) / name).open("w", encoding="ascii", newline="\n") as out:
                    out.writelines(",".join(map(str, row)) + "\n" for row in rows)
            files[-1].unlink(missing_ok=True)
            for file in files:
                os.replace(Path(hidden) / file.name, file)
    except OSError as error:
        raise TraceError(f"{error.filename or directory}: can't be written ({error.strerror})") from None
    return tuple(files)
