"""What a user should know of a run before it begins, since its numbers don't show it."""

from __future__ import annotations

from sim.models.calibration import Calibration
from sim.models.costs import CostModel
from sim.workload import DEFAULT_MEMORY_BYTES, Workload


def caveats(workload: Workload, calibration: Calibration) -> list[str]:
    """Sentences, each after what it is about and a colon; empty when there is nothing to say.

    Durations that were measured on something are of it, whatever GPU they are simulated on.
    """
    source = workload.trace.source
    if not (workload.own_durations and source.durations_of):
        return []
    memory = (
        f", and its memory isn't known: a function takes {DEFAULT_MEMORY_BYTES >> 20} MiB"
        if any(f.memory_bytes is None for f in workload.trace.functions)
        else ""
    )
    return [
        f"foreign durations: they are those of {source.durations_of}, not of {calibration.device.name}{memory}. "
        "With --functions catalogue only the arrivals of the trace are used"
    ]


def predicted(costs: CostModel, calibration: Calibration) -> list[str]:
    """As ``caveats``, of a simulation alone: run times that nobody measured."""
    if not costs.predicted:
        return []
    graphs = [f"{g} on {costs.kind.value} workers" if g in calibration.graphs else g for g in costs.predicted]
    return [
        f"predicted run times: {calibration.name} has no measurement of {', '.join(graphs)}, which take what its "
        "roofline says; that may be off by a factor of two or more"
    ]
