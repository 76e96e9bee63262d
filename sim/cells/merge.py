"""One run directory's tables from those of its cells: numbers of a cell become numbers of the whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from sim.records.tables import DEVICES, INVOCATIONS, WORKERS, Table

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """The tables of a cell in ``directory``, and what its numbers are in the whole.

    invocations, functions: the number in the whole by that in the cell. device, node, worker: what is added to those.
    """

    directory: Path
    invocations: Ints
    functions: Ints
    device: int
    node: int
    worker: int


def merge_tables(parts: Sequence[Part], directory: Path) -> None:
    """Write the tables invocations, devices and workers: rows of the cells, one cell after another."""
    for table in (INVOCATIONS, DEVICES, WORKERS):
        with pq.ParquetWriter(directory / f"{table.name}.parquet", table.schema, write_page_checksum=True) as file:
            for part in parts:
                for rows in _rows(part, table):
                    file.write_table(rows)


def _rows(part: Part, table: Table) -> Iterator[pa.Table]:
    offsets = {"device": part.device, "node": part.node, "worker": part.worker}
    numbers = {"invocation": part.invocations, "function": part.functions}
    file = pq.ParquetFile(part.directory / f"{table.name}.parquet")
    for group in range(file.num_row_groups):
        rows = file.read_row_group(group)
        for name in table.names:
            if name not in offsets and name not in numbers:
                continue
            local = rows[name].to_numpy()
            whole = numbers[name][local] if name in numbers else local + offsets[name]
            column = pa.array(np.where(local < 0, local, whole), type=table.schema.field(name).type)
            rows = rows.set_column(rows.schema.get_field_index(name), table.schema.field(name), column)
        yield rows.cast(table.schema)
