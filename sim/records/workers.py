"""Which device each worker is on, and the rows of those that are gone."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from struct import Struct
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sim.domain import WorkerKind
from sim.models.startup import Ladder
from sim.records.rows import Floats
from sim.records.tables import STAGES, WORKERS

_KINDS = tuple(WorkerKind)
_ROW = Struct(f"{len(WORKERS.columns)}d")


class WorkerDevices:
    """The device of each worker by number, -1 for one without, until it is forgotten."""

    def __init__(self) -> None:
        self._device: dict[int, int] = {}
        self._n = 0

    def append(self, device: int) -> None:
        """The next worker is on this device."""
        self._device[self._n] = device
        self._n += 1

    def __setitem__(self, worker: int, device: int) -> None:
        self._device[worker] = device

    def __getitem__(self, worker: int) -> int:
        return self._device[worker]

    def of(self, workers: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """Devices of these workers, many times the same few, (n,)."""
        encoded = pa.array(workers).dictionary_encode()
        device = np.array([self._device[worker] for worker in encoded.dictionary.to_pylist()], dtype=np.int32)
        of_each: npt.NDArray[np.int32] = device[encoded.indices.to_numpy()]
        return of_each

    def forget(self, workers: Iterable[int]) -> None:
        """Nobody will ask for these again."""
        for worker in workers:
            del self._device[worker]


class WorkerRows:
    """Rows of the workers table, as numbers: a list of tuples takes six times the memory. node_of: of each device."""

    def __init__(self, node_of: npt.NDArray[np.int32]) -> None:
        self._node_of = node_of
        self._profiles: dict[str, int] = {"": 0}
        self._flat = array("d")

    def __len__(self) -> int:
        return len(self._flat) // len(WORKERS.columns)

    def add(
        self,
        number: int,
        device: int,
        kind: WorkerKind,
        function: int,
        instants_s: tuple[float, float, float],
        ladder: Ladder | None,
        loaded_bytes: int,
        profile: str,
    ) -> None:
        """Add a row; see ``sim.records.recorder.Recorder.worker``."""
        stages_s = ladder if ladder is not None else (0.0,) * len(STAGES)
        profile_number = self._profiles.setdefault(profile, len(self._profiles))
        place = (device, -1, profile_number)  # the node follows from the device
        row = _ROW.pack(number, *place, _KINDS.index(kind), function, *instants_s, *stages_s, loaded_bytes)
        self._flat.frombytes(row)  # in a quarter of the time of extend

    def take(self) -> dict[str, Any]:
        """Hand over the columns of the rows there are, in order of the workers' numbers, and forget them."""
        rows: Floats = np.array(self._flat).reshape(-1, len(WORKERS.columns))
        self._flat = array("d")
        columns: dict[str, Any] = dict(zip(WORKERS.names, rows[np.argsort(rows[:, 0])].T, strict=True))
        device = columns["device"].astype(np.int64)
        columns["node"] = np.where(device < 0, -1, self._node_of[device])
        profiles = [*self._profiles]
        columns["profile"] = pa.array([profiles[int(number)] for number in columns["profile"]], type=pa.string())
        columns["kind"] = pa.array([_KINDS[int(kind)].value for kind in columns["kind"]], type=pa.string())
        return columns
