"""All that a summary is made from, in a form in which parts of a run can be added up: ``distributions.json``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sim.errors import RunError
from sim.records.histogram import Histogram

FILE = "distributions.json"
SCHEMA_VERSION = 1
FEW = 65_536  # numbers of which quantiles are exact


@dataclass(frozen=True)
class Sums:
    """numbers: counts and sums by name; None: not known of some part. distributions: by name.

    per_s: what some of the numbers would grow by in every further second of the run, such as those of its GPUs.
    simulated_s: how long the run lasted. from_s, until_s: of the arrivals that are measured, from the start of the run;
    until_s is infinite without a cut at the end.
    """

    numbers: Mapping[str, float | None]
    distributions: Mapping[str, Histogram]
    per_s: Mapping[str, float | None]
    simulated_s: float
    from_s: float = 0.0
    until_s: float = math.inf

    @property
    def measured_s(self) -> float:
        """Length of the time in which what is measured arrives."""
        return max(min(self.until_s, self.simulated_s) - self.from_s, 0.0)

    def as_plain(self) -> dict[str, Any]:
        """Numbers, lists and None for JSON. Of the distributions the buckets, whatever else they know."""
        return {
            "schema_version": SCHEMA_VERSION,
            "simulated_s": self.simulated_s,
            "from_s": self.from_s,
            "until_s": None if math.isinf(self.until_s) else self.until_s,
            "numbers": dict(self.numbers),
            "per_s": dict(self.per_s),
            "distributions": {name: _buckets(values) for name, values in self.distributions.items()},
        }


def _buckets(values: Histogram) -> dict[str, Any]:
    return values.as_plain() | {"values": None}


def merge(parts: Sequence[Sums]) -> Sums:
    """The sums of a run in parts that share no function, no GPU and no worker, and all began at the same instant.

    Counts and sums are those of the whole run; its quantiles have the error of the buckets, where one part has. The
    parts must measure arrivals of the same time. Raises ValueError when they don't, and for no part at all.
    """
    if len({(part.from_s, part.until_s) for part in parts}) != 1:
        raise ValueError("parts of a run must measure arrivals of the same time")
    simulated_s = max(part.simulated_s for part in parts)
    numbers: dict[str, float | None] = {}
    per_s: dict[str, float | None] = {}
    distributions: dict[str, Histogram] = {}
    for part in parts:
        longer_s = simulated_s - part.simulated_s
        _add(numbers, part.numbers, 1)
        _add(numbers, part.per_s, longer_s)
        _add(per_s, part.per_s, 1)
        for name, values in part.distributions.items():
            distributions.setdefault(name, Histogram(FEW)).merge(values)
    return replace(parts[0], numbers=numbers, distributions=distributions, per_s=per_s, simulated_s=simulated_s)


def _add(total: dict[str, float | None], numbers: Mapping[str, float | None], times: float) -> None:
    for name, number in numbers.items():
        before = total.get(name, 0)
        total[name] = None if number is None or before is None else before + number * times


def of_plain(plain: Mapping[str, Any]) -> Sums:
    """The sums that gave ``as_plain()``."""
    return Sums(
        plain["numbers"],
        {name: Histogram.of_plain(values) for name, values in plain["distributions"].items()},
        plain["per_s"],
        plain["simulated_s"],
        plain["from_s"],
        math.inf if plain["until_s"] is None else plain["until_s"],
    )


def read_sums(directory: Path) -> Sums:
    """The sums in a run directory. Raises RunError when there is no such file, or one that no run writes."""
    from sim.records.results import read_json

    file = directory / FILE
    plain = read_json(file)
    if plain.get("schema_version") != SCHEMA_VERSION:
        raise RunError(
            f"{file}: schema_version is {plain.get('schema_version')!r}; this version reads {SCHEMA_VERSION}"
        )
    try:
        return of_plain(plain)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{file}: is not as a run writes it ({error!r})") from None
