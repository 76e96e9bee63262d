"""The micro-benchmark: one client calls ``testModel`` on one GPU, warm and cold, and where the time goes.

The simulator knows four parts of such a call. *kernel*: kernels, and binding their buffers. *init*: loading modules.
*copy*: bytes over the link. *rest*: the way of a request, dispatch, and what a first use or a start of a process costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sim.loads import Clients, make_load
from sim.studies.kaas.experiments import SETUPS, Point
from sim.studies.kaas.run import simulate

WORKLOAD = "testModel"
N_WARM = 64
PARTS = ("kernel", "init", "copy", "rest")

# Measured on one V100, in ms (NathanTP/kaasBenchmarks, as quoted in the calibration's sources): kernel run, kernel
# init, GPU copy, and the sum of GPU malloc, data layer and other overheads.
MEASURED_MS: Mapping[tuple[str, str], tuple[float, float, float, float]] = {
    ("kaas", "warm"): (0.51, 0.0, 1.29, 0.29 + 2.96 + 5.22),
    ("kaas", "cold"): (0.53, 0.41, 7.06, 1.46 + 5.46 + 6.63),
    ("exclusive", "warm"): (0.48, 0.0, 1.53, 0.06 + 2.51 + 4.95),
    ("exclusive", "cold"): (0.48, 0.63, 5.43, 1.25 + 4.37 + 425.96),
}
# Totals of a later run, read off a plot; the last is "about 1500". The stages of a start are from here.
AGAIN_MS: Mapping[tuple[str, str], float] = {
    ("kaas", "warm"): 12.8,
    ("kaas", "cold"): 21.7,
    ("exclusive", "warm"): 12.0,
    ("exclusive", "cold"): 1500.0,
}


def micro(seed: int) -> list[dict[str, Any]]:
    """A row for each mode and temperature: parts and total in seconds, simulated and measured."""
    return [row for mode in ("kaas", "exclusive") for row in _calls(mode, seed)]


def _calls(mode: str, seed: int) -> list[dict[str, Any]]:
    """The first call of a function, and the mean of those after it, which find all of it in place."""
    system = SETUPS["arxiv"].system(Point(WORKLOAD, mode, 1))
    trace = make_load(f"nshot[n={1 + N_WARM}]").trace(Clients(1, WORKLOAD, seed))
    tables = simulate(system, WORKLOAD, trace, seed, n_gpus=1)
    calls = tables["invocations"].sort_values("invocation")
    calls = calls.assign(latency_s=calls["completed_at_s"] - calls["arrival_at_s"])
    calls = calls[["run_s", "h2d_bytes", "constant_bytes", "d2h_bytes", "latency_s"]]
    copies = system.calibration.copies
    modules_s = system.calibration.modules_s(system.entry.graph, system.policy.workers[0])
    start_bytes = int(tables["workers"]["h2d_bytes"].sum())  # of a process; an executor stands from the beginning
    rows = []
    for temperature, call, init_s, loaded_bytes in (
        ("warm", calls[1:].mean(), 0.0, 0),
        ("cold", calls.iloc[0], modules_s, start_bytes),
    ):
        copy_s = (call["h2d_bytes"] - call["constant_bytes"]) / copies.input_bytes_per_s
        copy_s += call["constant_bytes"] / copies.h2d_first_bytes_per_s + loaded_bytes / copies.h2d_bytes_per_s
        copy_s += call["d2h_bytes"] / copies.d2h_bytes_per_s
        rest_s = call["latency_s"] - call["run_s"] - init_s - copy_s
        rows.append(_row(mode, temperature, (call["run_s"], init_s, copy_s, rest_s)))
    return rows


def _row(mode: str, temperature: str, parts_s: Sequence[float]) -> dict[str, Any]:
    measured_s = [ms / 1e3 for ms in MEASURED_MS[mode, temperature]]
    cells: dict[str, Any] = {"workload": WORKLOAD, "mode": mode, "clients": 1, "temperature": temperature}
    for source, found_s in (("simulated_", parts_s), ("", measured_s)):
        cells |= {f"{source}{part}_s": float(found) for part, found in zip(PARTS, found_s, strict=True)}
        cells[f"{source}total_s"] = float(sum(found_s))
    again_s = AGAIN_MS[mode, temperature] / 1e3
    for name, total_s in (("", cells["total_s"]), ("again_", again_s)):
        cells[f"{name}error_frac"] = cells["simulated_total_s"] / total_s - 1
    return cells | {"again_total_s": again_s}
