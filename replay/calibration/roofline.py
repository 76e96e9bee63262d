"""The roofline of a calibration: peaks that the probe measured, and the part of them that measured graphs reach."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from replay.calibration.estimates import Estimate
from replay.calibration.fits import Fits
from sim.domain import KernelGraph
from sim.models.workloads.catalogue import CatalogueEntry


def roofline(graphs: Mapping[str, CatalogueEntry], fits: Fits) -> dict[str, Estimate]:
    """The numbers of ``sim.models.calibration.Roofline``.

    A graph tells of the peak that bounds it (Williams, Waterman and Patterson, CACM 52(4), 2009): least time by that
    peak / run_s. Graphs that launches bound tell of none. A part may be above 1 where caches serve what a graph moves.
    """
    flops_per_s, bytes_per_s = fits.probed("fp32_flop_per_s"), fits.probed("device_copy_bytes_per_s")
    launch_s = fits.probed("launch_s").value
    reached: dict[str, dict[str, float]] = {"compute_frac": {}, "bandwidth_frac": {}}
    for name, kinds in fits.run_s.items():
        graph = graphs[name].graph
        least_s = {
            "compute_frac": _sum(graph, "flops") / flops_per_s.value,
            "bandwidth_frac": _sum(graph, "moved_bytes") / bytes_per_s.value,
        }
        bound = max(least_s, key=least_s.__getitem__)
        if least_s[bound] > graph.n_launches * launch_s:
            reached[bound][name] = least_s[bound] / next(iter(kinds.values())).value
    return {
        "flops_per_s": flops_per_s,
        "bytes_per_s": bytes_per_s,
        "compute_frac": _mean(reached["compute_frac"], "operations"),
        "bandwidth_frac": _mean(reached["bandwidth_frac"], "memory"),
    }


def _mean(reached: Mapping[str, float], bound: str) -> Estimate:
    """Geometric mean over graphs."""
    if not reached:
        return Estimate(1.0, f"assumed: none of the measured graphs is bound by {bound}")
    told = ", ".join(f"{name} {part:.1%}" for name, part in reached.items())
    mean = float(np.exp(np.log(list(reached.values())).mean()))
    return Estimate(mean, f"derived: geometric mean of the measured graphs that {bound} bound, by run_s: {told}")


def _sum(graph: KernelGraph, what: str) -> int:
    per_pass: int = sum(getattr(kernel, what) for kernel in graph.kernels)
    return graph.n_iter * per_pass
