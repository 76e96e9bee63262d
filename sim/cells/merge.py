"""One run directory's tables from those of its cells: numbers of a cell become numbers of the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sim.records.tables import DEVICES, FUNCTIONS, INVOCATIONS, WORKERS, Table

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """The tables of a cell in ``directory``, and what its numbers are in the whole.

    invocations: the number in the whole by that in the cell, asked for when they are needed: 8 bytes each. functions:
    likewise. device, node, worker: what is added to those.
    """

    directory: Path
    invocations: Callable[[], Ints]
    functions: Ints
    device: int
    node: int
    worker: int


def merge_tables(parts: Sequence[Part], directory: Path, interval_s: float) -> None:
    """Write the tables: rows of the cells, one cell after another; functions by number.

    interval_s: of the devices table, a multiple of that of each cell.
    """
    for table in (INVOCATIONS, DEVICES, WORKERS):
        with pq.ParquetWriter(directory / f"{table.name}.parquet", table.schema, write_page_checksum=True) as file:
            for part in parts:
                for rows in _rows(part, table):
                    file.write_table(rows if table is not DEVICES else _rebinned(rows, interval_s))
    functions = pa.concat_tables(rows for part in parts for rows in _rows(part, FUNCTIONS)).sort_by("function")
    pq.write_table(functions.cast(FUNCTIONS.schema), directory / "functions.parquet", write_page_checksum=True)


def _rows(part: Part, table: Table) -> Iterator[pa.Table]:
    """The rows of a table, with numbers of the whole, a group at a time."""
    offsets = {"device": part.device, "node": part.node, "worker": part.worker}
    numbers = {"function": part.functions}
    if table is INVOCATIONS:
        numbers["invocation"] = part.invocations()
    file = pq.ParquetFile(part.directory / f"{table.name}.parquet", page_checksum_verification=True)
    for group in range(file.num_row_groups):
        rows = file.read_row_group(group)
        for name in table.names:
            if name in offsets or name in numbers:
                local = rows[name].to_numpy()
                whole = numbers[name][local] if name in numbers else local + offsets[name]
                field = table.schema.field(name)
                column = pa.array(np.where(local < 0, local, whole), type=field.type)
                rows = rows.set_column(rows.schema.get_field_index(name), field, column)
        yield rows.cast(table.schema)


def _rebinned(rows: pa.Table, interval_s: float) -> pa.Table:
    """Rows of the devices table by longer intervals."""
    start_at_s = pc.multiply(pc.floor(pc.divide(rows["start_at_s"], interval_s)), interval_s)
    rows = rows.set_column(rows.schema.get_field_index("start_at_s"), DEVICES.schema.field("start_at_s"), start_at_s)
    keys = ["device", "node", "start_at_s"]
    sums = [name for name in DEVICES.names if name not in keys]
    grouped = rows.group_by(keys, use_threads=False).aggregate([(name, "sum") for name in sums])
    return (
        grouped.rename_columns([name.removesuffix("_sum") for name in grouped.column_names])
        .select(list(DEVICES.names))
        .cast(DEVICES.schema)
    )
