"""The roofline of a calibration: peaks that the probe measured, and the part of them that measured graphs reach."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from replay.calibration.estimates import Estimate
from replay.calibration.fits import Fits
from sim.models.workloads import gemm
from sim.models.workloads.catalogue import CatalogueEntry


def library_peaks(fits: Fits) -> dict[str, Estimate]:
    """Peaks of what libraries compute, by "source.name" of a kernel; none where the probe found no library."""
    names = {f"{gemm.SOURCE}.{name}": f"{gemm.SOURCE}_{name}_flop_per_s" for name in gemm.NAMES}
    return {name: fits.probed(measured) for name, measured in names.items() if fits.has_probed(measured)}


def roofline(graphs: Mapping[str, CatalogueEntry], fits: Fits) -> dict[str, Estimate]:
    """The numbers of ``sim.models.calibration.Roofline``, but for ``library_peaks``.

    A graph tells of the peak that bounds it (Williams, Waterman and Patterson, CACM 52(4), 2009): least time by that
    peak / run_s. Graphs that launches bound tell of none. A part may be above 1 where caches serve what a graph moves.
    """
    of_libraries = library_peaks(fits)
    flops_per_s, bytes_per_s = fits.probed("fp32_flop_per_s"), fits.probed("device_copy_bytes_per_s")
    launch_s = fits.probed("launch_s").value
    peak_of = {name: found.value for name, found in of_libraries.items()}
    reached: dict[str, dict[str, float]] = {"compute_frac": {}, "library_frac": {}, "bandwidth_frac": {}}
    for name, kinds in fits.run_s.items():
        graph = graphs[name].graph
        by_library = [k for k in graph.kernels if f"{k.source}.{k.name}" in peak_of]
        own = [k for k in graph.kernels if f"{k.source}.{k.name}" not in peak_of]
        least_s = {
            "compute_frac": graph.n_iter * sum(k.flops for k in own) / flops_per_s.value,
            "library_frac": graph.n_iter * sum(k.flops / peak_of[f"{k.source}.{k.name}"] for k in by_library),
            "bandwidth_frac": graph.n_iter * sum(k.moved_bytes for k in graph.kernels) / bytes_per_s.value,
        }
        bound = max(least_s, key=least_s.__getitem__)
        if least_s[bound] > graph.n_launches * launch_s:
            reached[bound][name] = least_s[bound] / next(iter(kinds.values())).value
    return {
        "flops_per_s": flops_per_s,
        "bytes_per_s": bytes_per_s,
        "compute_frac": _mean(reached["compute_frac"], "operations"),
        "bandwidth_frac": _mean(reached["bandwidth_frac"], "memory"),
    } | ({"library_frac": _mean(reached["library_frac"], "a library's operations")} if of_libraries else {})


def _mean(reached: Mapping[str, float], bound: str) -> Estimate:
    """Geometric mean over graphs."""
    if not reached:
        return Estimate(1.0, f"assumed: none of the measured graphs is bound by {bound}")
    told = ", ".join(f"{name} {part:.1%}" for name, part in reached.items())
    mean = float(np.exp(np.log(list(reached.values())).mean()))
    return Estimate(mean, f"derived: geometric mean of the measured graphs that {bound} bound, by run_s: {told}")
