"""What every world says of a run: before it, what is run on what numbers; after it, what came out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sim.files.output import as_json, write_text
from sim.models.calibration import Calibration
from sim.policies.base import BasePolicy
from sim.policies.files import spell
from sim.records.caveats import caveats
from sim.records.provenance import inputs, project
from sim.records.rundir import RunDirectory, peak_rss_bytes
from sim.records.summary import summarise
from sim.records.sums import FILE, Sums
from sim.scenario import Scenario
from sim.workload import Workload


def describe(
    policy: BasePolicy, scenario: Scenario, workload: Workload, calibration: Calibration, interval_s: float
) -> dict[str, Any]:
    """What the manifest of a run says in every world: what was run, on what numbers."""
    return {
        "policy": policy.describe(),
        "scenario": scenario.as_dict() | {"policies": [spell(policy)]},
        "source": dataclasses.asdict(workload.trace.source),
        "calibration": {"name": calibration.name, "sha256": calibration.sha256},
        "project": project(),
        "inputs": inputs(scenario, workload.inputs, policy),
        "warnings": caveats(workload, calibration),
        "interval_s": interval_s,
    }


class Records(Protocol):
    """What a run left; see ``sim.records.recorder.Recorder``."""

    @property
    def interval_s(self) -> float:
        """Length of the intervals of the devices table."""
        ...

    def sums(self, simulated_s: float) -> Sums:
        """What the tables add up to, before anything is divided."""
        ...

    def faults(self, simulated_s: float) -> list[str]:
        """Sentences for what is wrong with the records."""
        ...

    def steadiness(self) -> list[str]:
        """Sentences on what grew for as long as invocations arrived."""
        ...


def conclude(
    out: RunDirectory,
    records: Records,
    policy: BasePolicy,
    facts: dict[str, Any],
    reasons: list[str],
    error: str | None,
    *,
    warnings: Sequence[str] = (),
    details: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write summary and manifest of a run whose tables are closed; returns the summary. The same in every world.

    records: a recorder, or what stands for several. facts: simulated_s and wall_s, and what else a world has to tell;
    they go into both. reasons: why it is not valid. error: what ended it, if something did. warnings: that a world has;
    whether work piled up is added. details: facts for the manifest alone.
    """
    sums = records.sums(facts["simulated_s"])
    figures = summarise(sums)
    summary = {
        "policy": policy.describe(),
        **figures,
        **facts,
        "invocations_per_wall_s": figures["invocations"] / facts["wall_s"] if facts["wall_s"] else None,
        "peak_rss_bytes": peak_rss_bytes(),
        "valid": not reasons,
        "reasons": [*reasons, *([error] if error else [])],
        "warnings": [*warnings, *records.faults(facts["simulated_s"]), *records.steadiness()],
    }
    facts = {**facts, **(details or {}), "interval_s": records.interval_s, "warnings": summary["warnings"]}
    write_text(out.path / FILE, as_json(sums.as_plain()))
    out.finish(summary, facts, reasons, error)
    return summary
