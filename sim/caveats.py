"""What a user should know of a run before it begins, since its numbers don't show it."""

from __future__ import annotations

from sim.models.calibration import Calibration
from sim.workload import DEFAULT_MEMORY_BYTES, Workload


def caveats(workload: Workload, calibration: Calibration) -> list[str]:
    """Sentences; empty when there is nothing to say."""
    return foreign_durations(workload, calibration)


def foreign_durations(workload: Workload, calibration: Calibration) -> list[str]:
    """Durations that were measured on something are of it, whatever GPU they are simulated on."""
    source = workload.trace.source
    if not (workload.own_durations and source.durations_of):
        return []
    text = f"the trace's durations are those of {source.durations_of}, and not of {calibration.device.name}"
    if any(f.memory_bytes is None for f in workload.trace.functions):
        text += f"; it tells no memory, so a function takes {DEFAULT_MEMORY_BYTES >> 20} MiB"
    return [f"{text}; functions of a catalogue take its arrivals alone"]
