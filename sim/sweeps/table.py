"""The results of a sweep as one table: ``results.parquet``, a row a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.runs import fault, flatten, warnings
from sim.errors import RunError
from sim.files.output import new_file
from sim.records.results import open_run
from sim.sweeps.plan import Planned
from sim.sweeps.study import POLICY

if TYPE_CHECKING:
    import pandas as pd

RESULTS = "results.parquet"
_FIRST = ("run", POLICY, "seed")
_VERDICT = ("valid", "reasons", "warnings", "error")


def results(planned: Iterable[Planned], errors: Mapping[str, str]) -> pd.DataFrame:
    """A row for each point that has ended, in the order of the points.

    errors: what kept points from being run, by address. Columns: run (the address), policy, seed, the other factors,
    valid, reasons, warnings, error, then every number of the summaries, nested keys joined by a dot, NaN where one has
    none. A factor of mixed values is text; a number of the summary that has the name of a factor is left out.
    """
    import pandas as pd

    rows, numbers = [], []
    factors: Sequence[str] = ()
    for each in planned:
        factors = [name for name in each.point.values if name != POLICY]
        row = {"run": each.task.address, "seed": each.point.seed, **each.point.values}
        verdict, summary = _ended(each.task.folder, errors.get(each.task.address, ""))
        if verdict:
            rows.append(row | verdict)
            numbers.append(flatten(summary))
    frame = pd.DataFrame(rows, columns=[*_FIRST, *factors, *_VERDICT])
    for name in factors:
        if len({isinstance(value, str) for value in frame[name]}) > 1:
            frame[name] = frame[name].map(str)
    return pd.concat([frame, _numbers(numbers, frame.columns)], axis=1)


def write_results(frame: pd.DataFrame, file: Path) -> None:
    """Write a table of results, in the place of an older one. Raises OutputError."""
    with new_file(file, _is_ours) as part:
        frame.to_parquet(part, index=False)


def _ended(folder: Path, error: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """How a point ended, and its summary; both are empty for one that has not."""
    try:
        run = open_run(folder, verify=False)
    except RunError:
        return ({"valid": False, "reasons": "", "warnings": "", "error": error} if error else {}), {}
    error = error or run.manifest.get("error") or ""
    texts = {"reasons": fault(run), "warnings": "; ".join(warnings(run)), "error": error}
    return {"valid": run.valid and not error, **texts}, run.summary


def _numbers(summaries: Sequence[Mapping[str, Any]], taken: Iterable[str]) -> pd.DataFrame:
    """The numbers of flat summaries, as float64; what is no number in one of them is left out."""
    import pandas as pd

    keys = dict.fromkeys(key for summary in summaries for key in summary)
    for summary in summaries:
        for key, value in summary.items():
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
                keys.pop(key, None)
    names = [key for key in keys if key not in set(taken)]
    columns = {name: [summary.get(name) for summary in summaries] for name in names}
    return pd.DataFrame(columns, index=range(len(summaries)), dtype="float64")


def _is_ours(file: Path) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names: list[str] = pq.read_schema(file).names
    except (pa.ArrowException, OSError, ValueError):
        return False
    return names[: len(_FIRST)] == [*_FIRST]
