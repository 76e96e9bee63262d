"""Names of synthetic owners, apps and functions: 64 hexadecimal digits each, like the published ones."""

from __future__ import annotations

import hashlib
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from traces.synth.population import Population

Strings: TypeAlias = npt.NDArray[np.str_]


class Ids:
    """The names that belong to a population and a seed."""

    def __init__(self, population: Population, seed: int) -> None:
        n_apps = len(population.app_size)
        self._owner = _hashes(seed, "owner", n_apps)[population.owner]
        self._app = _hashes(seed, "app", n_apps)
        self._function = _hashes(seed, "function", len(population))
        self._app_of = population.app

    def of_apps(self, rows: npt.NDArray[np.int64]) -> tuple[Strings, Strings]:
        """Owner and app of these apps."""
        return self._owner[rows], self._app[rows]

    def of_functions(self, rows: npt.NDArray[np.int64]) -> tuple[Strings, Strings, Strings]:
        """Owner, app and function of these functions."""
        return *self.of_apps(self._app_of[rows]), self._function[rows]

    def keys(self) -> list[str]:
        """``app/function`` of every function, the key that the reader gives it."""
        return [f"{app}/{function}" for app, function in zip(self._app[self._app_of], self._function, strict=True)]


def _hashes(seed: int, kind: str, n: int) -> Strings:
    return np.array([hashlib.sha256(f"{seed} {kind} {number}".encode()).hexdigest() for number in range(n)])
