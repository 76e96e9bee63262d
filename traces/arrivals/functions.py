"""The functions of a trace, numbered while its rows are read, and what rows tell of their memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sim.domain import TraceFunction
from sim.errors import TraceError
from traces.arrivals.keys import app_of
from traces.formats import UNKNOWN_TRIGGER
from traces.units import Floats, Ints

if TYPE_CHECKING:
    import pyarrow as pa

Numbers = npt.NDArray[np.int32]


class Functions:
    """Functions in order of first appearance, by their keys: see ``traces.arrivals.keys``."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._least_bytes, self._most_bytes = np.empty(0), np.empty(0)  # that rows tell; NaN where none does
        self._last: tuple[pa.Array, Numbers] | None = None  # batches of a file mostly share a dictionary

    def __len__(self) -> int:
        return len(self._numbers)

    def number(self, keys: Sequence[str]) -> Numbers:
        """The numbers of these keys."""
        return np.array([self._numbers.setdefault(key, len(self._numbers)) for key in keys], np.int32)

    def number_of_file(self, path: Path) -> int:
        """The number of the function that a file is, named like it up to the first dot.

        Raises TraceError for a second file of that name, which may be a copy.
        """
        key = path.name.partition(".")[0]
        if not key.isprintable():
            raise TraceError(f"{path}: must have a name in UTF-8 without control characters, since a function gets it")
        if key in self._numbers:
            raise TraceError(f"{path}: is a second file named {key!r}; functions are told apart by file names")
        return int(self.number([key])[0])

    def numbers_of(self, column: pa.Array) -> Numbers:
        """The number of each row of a column of keys, strings or a dictionary of them."""
        import pyarrow as pa

        coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        if self._last is None or not self._last[0].equals(coded.dictionary):
            self._last = coded.dictionary, self.number(coded.dictionary.to_pylist())
        return np.asarray(self._last[1][coded.indices.to_numpy()])

    def add_memory(self, numbers: Numbers, size_bytes: Floats) -> None:
        """Enter what rows tell of the memory of these functions; NaN where a row tells nothing."""
        new = np.full(len(self) - len(self._most_bytes), np.nan)
        self._least_bytes = np.append(self._least_bytes, new)
        self._most_bytes = np.append(self._most_bytes, new)
        np.fmin.at(self._least_bytes, numbers, size_bytes)
        np.fmax.at(self._most_bytes, numbers, size_bytes)

    def anomalies(self) -> dict[str, int]:
        """The functions of which rows differ in memory, and those whose memory is told as 0."""
        return {
            "memory_varies": int(np.count_nonzero(self._least_bytes < self._most_bytes)),
            "memory_not_positive": int(np.count_nonzero(self._most_bytes == 0)),
        }

    def describe(self, numbers: Ints, mean_s: Floats, n_invocations: Ints) -> list[TraceFunction]:
        """What the trace tells of the functions with these numbers; mean_s, n_invocations: one for each of them.

        The largest memory counts; 0 is unknown.
        """
        keys = list(self._numbers)
        memory = dict(enumerate(np.nan_to_num(self._most_bytes).astype(np.int64).tolist()))
        return [
            TraceFunction(keys[i], app_of(keys[i]), UNKNOWN_TRIGGER, mean, memory.get(i) or None, n)
            for i, mean, n in zip(numbers.tolist(), mean_s.tolist(), n_invocations.tolist(), strict=True)
        ]
