"""A calibration file from replays and a probe, in the schema of ``sim.models.calibration``.

Every number says how many samples it has, and how well the first half of each run predicts the second. A number that
the runs had no use for comes from the probe; one that they needed but don't determine is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from replay.calibration.estimates import Estimate
from replay.calibration.fits import KINDS, Fits, none
from replay.calibration.roofline import library_peaks, roofline
from replay.calibration.samples import Samples, read_samples
from replay.errors import ReplayError
from sim.files.output import has_keys
from sim.models.calibration import SCHEMA_VERSION
from sim.models.layout import ALIGNMENT_BYTES
from sim.records.results import Run

_BY = "Measured by 'replay calibrate'"


def calibrate(runs: Sequence[Run], probe: dict[str, Any], name: str) -> dict[str, Any]:
    """The content of a calibration file, for JSON. ``probe``: what ``replay.calibration.probe`` gave on the device.

    Raises ReplayError for runs that don't go together, and for a quantity with too few samples.
    """
    samples = read_samples(runs)
    if probe["device"]["name"] != samples.device:
        raise ReplayError(f"the probe is of {probe['device']['name']}, must be of the runs' {samples.device}")
    fits = Fits(samples, probe["measurements"])
    peaks, library_s = _entries(library_peaks(fits)), _entries(fits.library_s())
    spreads = fits.spread()
    capacity = "measured: memory for buffers of the replay's executors, which take margin and context from elsewhere"
    return {
        "schema_version": SCHEMA_VERSION,
        "name": name,
        "provenance": _provenance(runs, probe, samples),
        "device": {"name": samples.device, "memory_bytes": {"value": samples.capacity_bytes, "source": capacity}},
        "executor": {
            "margin_bytes": {"value": 0, "source": capacity},
            "context_bytes": {"value": 0, "source": capacity},
            "keeps_headroom": {"value": False, "source": "design of replay.executor"},
            "caches_temporaries": {"value": False, "source": "design of replay.executor"},
            "alignment_bytes": {"value": ALIGNMENT_BYTES, "source": "design of replay.executor"},
        },
        "copies": {
            "h2d_bytes_per_s": fits.h2d.as_entry(),
            "h2d_first_bytes_per_s": fits.h2d_first.as_entry(),
            "d2h_bytes_per_s": fits.probed("d2h_pinned_bytes_per_s").as_entry(),
        },
        "executor_first_use_s": fits.first_use_s.as_entry(),
        "dispatch_s": _entries(fits.dispatch_s),
        "host_s": _entries(fits.host_of_all_s),
        "launch_s": _entries(dict.fromkeys(KINDS, fits.probed("launch_s"))),
        "buffer_s": _entries(dict.fromkeys(KINDS, none("run_s of each graph has it"))),
        "roofline": _entries(roofline(samples.graphs, fits)) | ({"library_flops_per_s": peaks} if peaks else {}),
        "module_s": _entries(dict.fromkeys(KINDS, fits.module_s)),
        **({"library_s": library_s} if library_s else {}),
        "startup_s": _entries(fits.startup_s),
        "spread": _typical(list(spreads.values())).as_entry(),
        "graphs": _graphs(fits, spreads),
    } | _multiprocessors(probe["device"]["n_multiprocessors"])


def is_fit(file: Path) -> bool:
    """Whether a file has what ``calibrate`` gave, and may thus be replaced."""
    if not has_keys(file, "provenance"):
        return False
    return str(json.loads(file.read_text("utf-8"))["provenance"]).startswith(_BY)


def _multiprocessors(n: int | None) -> dict[str, Any]:
    """Their number, where there is one: on a GPU."""
    return {} if n is None else {"n_multiprocessors": {"value": n, "source": "cudaGetDeviceProperties, by the probe"}}


def _entries(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    return {name: found.as_entry() for name, found in estimates.items()}


def _graphs(fits: Fits, spreads: Mapping[tuple[str, str], Estimate]) -> dict[str, Any]:
    graphs: dict[str, Any] = {
        graph: {
            kind: {"run_s": kinds[kind].as_entry(), "host_s": fits.host_s[graph][kind].as_entry()} for kind in kinds
        }
        for graph, kinds in fits.run_s.items()
    }
    for graph, runtime_s in fits.runtime_s().items():
        graphs[graph]["exclusive"]["runtime_s"] = runtime_s.as_entry()
    for (graph, kind), spread in spreads.items():
        graphs[graph][kind]["spread"] = spread.as_entry()
    return graphs


def _typical(spreads: Sequence[Estimate]) -> Estimate:
    """For graphs without one of their own."""
    if not spreads:
        return none("no graph has enough warm invocations")
    return Estimate(
        median(found.value for found in spreads), f"derived: median of the {len(spreads)} of graphs and kinds"
    )


def _provenance(runs: Sequence[Run], probe: dict[str, Any], samples: Samples) -> str:
    device, machine = probe["device"], probe["machine"]
    used = "; ".join(f"{run.label}, {run.summary['completed']} invocations, {run.manifest['started']}" for run in runs)
    return (
        f"{_BY} on {samples.device}, {machine['cpus']} cores, {machine['system']}, CUDA "
        f"driver {device['cuda_driver']}, runtime {device['cuda_runtime']}, from {used}. 'hold-out error' is how far "
        "what the first half of each run says is from what the second half says."
    )
