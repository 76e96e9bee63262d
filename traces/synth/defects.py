"""The published defects of the tables of Azure Functions 2019, at their published frequencies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from traces.synth import facts
from traces.synth.population import Population

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Defects:
    """Which rows of one day's tables are odd. Of functions: (n_functions,); memory_twice, without_memory: (n_apps,).

    negative, zero: Average below 0 or 0. empty: no Minimum and Maximum. twice: two rows. without: no row.
    vague: the trigger reads 'others'.
    """

    negative: Mask
    zero: Mask
    empty: Mask
    twice: Mask
    without: Mask
    vague: Mask
    memory_twice: Mask
    without_memory: Mask


def no_defects(population: Population) -> Defects:
    """A day as it should be."""
    of_functions, of_apps = np.zeros(len(population), bool), np.zeros(len(population.app_size), bool)
    return Defects(*[of_functions] * 6, *[of_apps] * 2)


def draw_defects(population: Population, day: int, rng: np.random.Generator) -> Defects:
    """Defects of a day, each in at least one row where there are enough, and in none of the first.

    A function has one of them at most. Triggers are vague on the first day only.
    """
    vague = facts.VAGUE_ON_FIRST_DAY if day == 1 else 0
    rows = (facts.NEGATIVE_AVERAGE_ROWS, facts.ZERO_AVERAGE_ROWS, facts.EMPTY_EXTREMES, facts.TWICE_IN_DURATIONS)
    n = len(population)
    of_functions = _disjoint(n, [_rows(r, n) for r in (*rows, facts.WITHOUT_DURATIONS, vague)], rng)
    of_apps = _disjoint(
        len(population.app_size), [_rows(r, n) for r in (facts.TWICE_IN_MEMORY, facts.WITHOUT_MEMORY)], rng
    )
    return Defects(*of_functions, *of_apps)


def _rows(published: int, n_functions: int) -> int:
    return max(min(published, 1), round(published * n_functions / facts.N_FUNCTIONS))


def _disjoint(n: int, sizes: list[int], rng: np.random.Generator) -> list[Mask]:
    """Masks (n,) of random rows other than the first, no row in two of them."""
    order = 1 + rng.permutation(n - 1)
    ends = np.cumsum(sizes)
    masks = []
    for size, end in zip(sizes, ends, strict=True):
        masks.append(np.zeros(n, bool))
        masks[-1][order[end - size : end]] = True
    return masks
