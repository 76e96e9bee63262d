"""Alibaba's pods on GPU nodes, 2023: one row a pod, which is read as an invocation.

Weng et al., "Beware of Fragmentation: Scheduling GPU-Sharing Workloads with Fragmentation Gradient Descent", USENIX
ATC 2023; ``openb_pod_list_*.csv`` of cluster-trace-gpu-v2023 of alibaba/clusterdata, for research.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from traces.arrivals.events import Rows
from traces.arrivals.functions import Functions
from traces.arrivals.keys import keys_of
from traces.files.kinds import Kind
from traces.formats import Format, has_columns
from traces.readers.eventlog import floored, read_log
from traces.units import MIB

if TYPE_CHECKING:
    import pyarrow as pa

_NAME = "alibaba-gpu-pods"
_SHAPE = ("cpu_milli", "memory_mib", "num_gpu", "gpu_milli")
_KINDS = {
    "qos": Kind.TEXT,
    **dict.fromkeys(_SHAPE, Kind.COUNT),
    "gpu_spec": Kind.TEXT,
    "creation_time": Kind.SPAN,
    "scheduled_time": Kind.OPTIONAL_COUNT,
    "deletion_time": Kind.SPAN,
}


def _rows(batch: pa.RecordBatch, functions: Functions, anomalies: Counter[str]) -> Rows:
    """A pod arrives when it is created, and takes from its scheduling to its deletion. Times are the trace's own.

    Pods have no common name: a function is what asks for the same resources, in the same class of service.
    """
    import pyarrow.compute as pc

    is_scheduled = batch.column("scheduled_time").is_valid()
    anomalies["pod_never_scheduled"] += is_scheduled.false_count
    pods = batch.filter(is_scheduled)
    columns = dict(zip(pods.schema.names, pods.columns, strict=True))
    shape = [columns[name].cast("string") for name in _SHAPE]
    keys = keys_of(pc.binary_join_element_wise(*shape, columns["gpu_spec"], "-"), columns["qos"])
    duration_s = columns["deletion_time"].to_numpy() - columns["scheduled_time"].to_numpy()
    anomalies["negative_duration"] += int(np.count_nonzero(duration_s < 0))
    numbers = functions.numbers_of(keys)
    functions.add_memory(numbers, columns["memory_mib"].to_numpy().astype(float) * MIB)
    return Rows(columns["creation_time"].to_numpy(), numbers, floored(duration_s, anomalies))


FORMAT = Format(
    name=_NAME,
    summary="Alibaba's GPU pods of 2023: one row a pod",
    tables=(f"pods: {', '.join(_KINDS)}",),
    recognises=has_columns(*_KINDS),
    read=read_log(_NAME, _KINDS, _rows, list),
)
