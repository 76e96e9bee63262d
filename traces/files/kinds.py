"""What the cells of a column may be, in CSV and in Parquet, and whether they are."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

EMPTY = ("", "nan", "NaN")  # cells that hold no value, where that is allowed
WHOLE_MAX = float(2**53)  # beyond, float64 doesn't tell whole numbers apart
NUMBER_MAX = 1e15  # 30,000 years of milliseconds: larger is a wrong number, and sums of it may overflow


class Kind(Enum):
    """What the cells of a column must be."""

    TEXT = "text"
    COUNT = "a whole number from 0 to 4294967295"
    NUMBER = "a finite number, up to 1e15"
    SPAN = "a finite number, 0 or more, up to 1e15"
    OPTIONAL = "a finite number, up to 1e15, or empty"
    OPTIONAL_COUNT = "a whole number from 0 to 9007199254740992 or empty"
    INSTANT = "a date and time from 1970 to 2261, such as 2023-11-16 18:17:03.9799600"

    @property
    def may_be_empty(self) -> bool:
        """Whether an empty cell is a value: none."""
        return self in (Kind.OPTIONAL, Kind.OPTIONAL_COUNT)

    @property
    def is_number(self) -> bool:
        """Whether the cells are read as float64."""
        return self not in (Kind.TEXT, Kind.COUNT, Kind.INSTANT)

    @property
    def limits(self) -> tuple[float, float]:
        """The least and the largest number that is allowed."""
        if self is Kind.OPTIONAL_COUNT:
            return 0.0, WHOLE_MAX
        return 0.0 if self is Kind.SPAN else -NUMBER_MAX, NUMBER_MAX


def with_instants(batch: pa.RecordBatch, kinds: Mapping[str, Kind]) -> pa.RecordBatch:
    """The batch with its INSTANT columns parsed, by ISO 8601 with up to nine digits of a second; UTC without a zone.

    Published files differ in digits, and leave out a fraction of 0. Raises ArrowInvalid.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if Kind.INSTANT not in kinds.values():
        return batch
    columns = list(batch.columns)
    for index, kind in enumerate(kinds.values()):
        if kind is Kind.INSTANT:
            text = columns[index]
            zoned = pc.match_substring_regex(text, r"(Z|[+-]\d\d:?\d\d)$")
            in_utc = pc.if_else(zoned, text, pc.binary_join_element_wise(text, "Z", ""))
            columns[index] = in_utc.cast(pa.timestamp("ns", "UTC"))
    return pa.RecordBatch.from_arrays(columns, list(kinds))


def holds(batch: pa.RecordBatch, kinds: Mapping[str, Kind]) -> bool:
    """Whether the values keep the rules of their kinds; that the types do is checked already."""
    return all(_hold(column, kind) for column, kind in zip(batch.columns, kinds.values(), strict=True))


def _hold(column: pa.Array, kind: Kind) -> bool:
    import pyarrow.compute as pc

    def are(cells: pa.Array) -> bool:
        return bool(pc.all(cells, min_count=0).as_py())

    if column.null_count and not kind.may_be_empty:
        return False
    if kind is Kind.INSTANT:
        return are(pc.greater_equal(column.cast("int64"), 0))
    if not kind.is_number:
        return True
    least, most = kind.limits
    if not (are(pc.greater_equal(column, least)) and are(pc.less_equal(column, most))):  # NaN is neither
        return False
    return kind is not Kind.OPTIONAL_COUNT or are(pc.equal(column, pc.floor(column)))
