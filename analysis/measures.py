"""What is measured: short names for numbers of a summary, with their unit and which way is better."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from sim.errors import RunError
from sim.settings import unknown

if TYPE_CHECKING:
    import pandas as pd

Better: TypeAlias = Literal["lower", "higher"]
_UNITS = {"_bytes_per_s": "bytes/s", "_per_s": "1/s", "_bytes": "bytes", "_s": "s"}  # by the end of a key


@dataclass(frozen=True, slots=True)
class Measure:
    """One number of every run.

    name: what users type. column: of the table of a data set, a key of the summary with those in it joined by a dot.
    label: for axes and heads. unit: empty for counts and for shares, which go from 0 to 1. better: which way, None
    where nobody can say.
    """

    name: str
    column: str
    label: str
    unit: str
    better: Better | None

    @property
    def axis(self) -> str:
        """Label and unit: ``p99 latency [s]``."""
        return f"{self.label} [{self.unit}]" if self.unit else self.label

    @property
    def quantile(self) -> bool:
        """Whether it is a quantile or a greatest value, whose sampling error is skewed even over many runs."""
        return re.search(r"\.(p\d+|max)$", self.column) is not None

    def of(self, frame: pd.DataFrame) -> pd.Series[float]:
        """Its values, a number a run. Raises RunError when the runs have no such number."""
        if self.column not in frame:
            raise RunError(f"metric {unknown('metric', self.name, [*MEASURES, *_numbers(frame)])}")
        return frame[self.column].astype("float64")


def _named(*measures: Measure) -> dict[str, Measure]:
    return {measure.name: measure for measure in measures}


MEASURES = _named(
    Measure("mean-latency", "latency_s.mean", "mean latency", "s", "lower"),
    Measure("p50", "latency_s.p50", "median latency", "s", "lower"),
    Measure("p90", "latency_s.p90", "p90 latency", "s", "lower"),
    Measure("p99", "latency_s.p99", "p99 latency", "s", "lower"),
    Measure("p999", "latency_s.p999", "p99.9 latency", "s", "lower"),
    Measure("max-latency", "latency_s.max", "longest latency", "s", "lower"),
    Measure("mean-queue", "queue_s.mean", "mean time in queue", "s", "lower"),
    Measure("queue-p99", "queue_s.p99", "p99 time in queue", "s", "lower"),
    Measure("rate", "throughput_per_s", "completed", "1/s", "higher"),
    Measure("goodput", "goodput_per_s", "goodput", "1/s", "higher"),
    Measure("attainment", "slo_attainment_frac", "SLO attainment", "", "higher"),
    Measure("functions-attaining", "function_attainment_frac.at_99", "functions at 99 % attainment", "", "higher"),
    Measure("function-goodput", "function_goodput_per_s.at_99", "goodput of functions at 99 %", "1/s", "higher"),
    Measure("mean-slowdown", "slowdown.mean", "mean slowdown", "", "lower"),
    Measure("slowdown-p99", "slowdown.p99", "p99 slowdown", "", "lower"),
    Measure("function-slowdown-p99", "function_slowdown.p99", "p99 slowdown of functions", "", "lower"),
    Measure("jain", "jain_fairness", "Jain's fairness", "", "higher"),
    Measure("cold-starts", "cold_starts", "cold starts", "", "lower"),
    Measure("cold", "cold_frac", "cold invocations", "", "lower"),
    Measure("hits", "cache_hit_frac", "cache hit ratio", "", "higher"),
    Measure("kernels", "gpu_frac.kernels", "GPU time in kernels", "", None),
    Measure("occupied", "gpu_occupied_frac", "GPU time occupied", "", None),
    Measure("gpu-balance", "gpu_balance.jain", "balance between GPUs", "", "higher"),
    Measure("in-system", "mean_in_system", "invocations in the system", "", "lower"),
    Measure("gpu-hours", "gpu_hours", "GPU-hours", "h", "lower"),
    Measure("instance-hours", "instance_hours", "instance-hours", "h", "lower"),
    Measure("idle-memory", "idle_memory_byte_s", "memory idle", "byte s", "lower"),
    Measure("energy", "energy_j", "energy", "J", "lower"),
    Measure("evictions", "evictions", "evictions", "", "lower"),
    Measure("copied", "h2d_bytes", "copied to devices", "bytes", "lower"),
    Measure("completed", "completed", "completed invocations", "", "higher"),
    Measure("rejected", "rejected", "rejected invocations", "", "lower"),
    Measure("failed", "failed", "failed invocations", "", "lower"),
    Measure("unfinished", "unfinished", "unfinished invocations", "", "lower"),
)


def measure(name: str) -> Measure:
    """The measure of this name; or any other number of a summary, by the name of its column.

    Of the latter nobody knows which way is better. Raises RunError for a name that can be neither: columns that have
    no short name have a dot or a ``_`` in theirs.
    """
    if name in MEASURES:
        return MEASURES[name]
    of_column = next((measure for measure in MEASURES.values() if measure.column == name), None)
    if of_column is not None:
        return of_column
    if not re.search(r"[._]", name):
        raise RunError(f"{unknown('metric', name, MEASURES)}, or any number of a summary, such as latency_s.p90")
    unit = next((unit for end, unit in _UNITS.items() if name.split(".")[0].endswith(end)), "")
    return Measure(name, name, name, unit, None)


def _numbers(frame: pd.DataFrame) -> list[str]:
    """Columns of numbers."""
    return [str(name) for name in frame.columns if frame[name].dtype == "float64"]
