"""Samples derived from Azure Functions 2019, as InVitro and others write them: the same tables, less strictly.

Minute columns may be a slice of the day and may be named ``481``, ``minute_481`` or ``481_minute``; columns
stand in any order; Trigger, HashOwner and HashApp may be missing; memory may be per function, then already divided
among the app's functions.
"""

from __future__ import annotations

from functools import partial

from traces.files.content import TraceFile
from traces.files.csvfile import CsvFile
from traces.formats import Format
from traces.readers.daily import read_daily
from traces.readers.daily_files import role_of


def _recognises(file: TraceFile) -> bool:
    return isinstance(file, CsvFile) and role_of(file.header) is not None


FORMAT = Format(
    name="azure2019-invitro",
    summary="samples of Azure Functions 2019 as InVitro writes them: a slice of the minutes, memory per function",
    tables=(
        "invocations: HashFunction, consecutive minutes k, minute_k or k_minute; optionally HashApp, Trigger",
        "durations: HashFunction, HashApp if the invocations have it, Average (ms), percentile_Average_0 to _100",
        "memory: HashApp or HashFunction or both, AverageAllocatedMb",
    ),
    recognises=_recognises,
    read=partial(read_daily, "azure2019-invitro"),
)
