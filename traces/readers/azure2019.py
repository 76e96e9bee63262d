"""Azure Functions 2019, as published: three CSV tables a day.

Shahrad et al., "Serverless in the Wild", USENIX ATC 2020; AzureFunctionsDataset2019.md of AzurePublicDataset,
CC-BY 4.0. The counts are of minutes in which executions *completed*; they are used as minutes of arrival, as
everyone does.
"""

from __future__ import annotations

from functools import partial

from traces.arrivals.durations import POINTS
from traces.files.content import TraceFile
from traces.files.csvfile import CsvFile
from traces.formats import Format
from traces.readers.daily import read_daily
from traces.units import MINUTES_A_DAY

INVOCATIONS_HEADER = (
    "HashOwner",
    "HashApp",
    "HashFunction",
    "Trigger",
    *map(str, range(1, MINUTES_A_DAY + 1)),
)
DURATIONS_HEADER = (
    *("HashOwner", "HashApp", "HashFunction", "Average", "Count", "Minimum", "Maximum"),
    *(f"percentile_Average_{p}" for p in POINTS),
)
MEMORY_HEADER = (
    *("HashOwner", "HashApp", "SampleCount", "AverageAllocatedMb"),
    *(f"AverageAllocatedMb_pct{p}" for p in (1, 5, 25, 50, 75, 95, 99, 100)),
)
_HEADERS = (INVOCATIONS_HEADER, DURATIONS_HEADER, MEMORY_HEADER)


def _recognises(file: TraceFile) -> bool:
    return isinstance(file, CsvFile) and file.header in _HEADERS


FORMAT = Format(
    name="azure2019",
    summary="Azure Functions 2019 as published: invocations a minute, durations and memory, one file each a day",
    tables=(
        "invocations: HashOwner, HashApp, HashFunction, Trigger, 1 to 1440",
        "durations: HashOwner, HashApp, HashFunction, Average (ms), Count, Minimum, Maximum, "
        "percentile_Average_0 to _100",
        "memory: HashOwner, HashApp, SampleCount, AverageAllocatedMb, AverageAllocatedMb_pct1 to _pct100",
    ),
    recognises=_recognises,
    read=partial(read_daily, "azure2019"),
)
