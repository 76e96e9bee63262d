"""Peaks: a device of known rates gives these rates, wrong sums give none, and a calibration has what graphs reach."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from types import SimpleNamespace

import pytest

from replay.calibration import peaks
from replay.calibration.estimates import Estimate
from replay.calibration.roofline import roofline
from replay.device.cpu import streams
from replay.device.cpu.build import compile_host
from replay.device.cpu.host import HostCuda
from replay.errors import ReplayError
from replay.kernels.sources import source_path
from sim.domain import Kernel, KernelGraph
from sim.models.workloads.catalogue import CatalogueEntry

FLOP_PER_S, BYTES_PER_S, LAUNCH_S = 1e10, 3e12, 1e-4
ROUND_FLOP = 2 * peaks.BLOCKS * peaks.THREADS * peaks.CHAINS * peaks.STEPS  # of one multiprocessor


@pytest.fixture
def known(monkeypatch):
    """(device, seconds that its next launches lose): it has a clock of its own, and really computes."""
    host, lost_s, now_s = HostCuda(1 << 30), [], 0.0
    launch = host.driver.launchKernel

    def compute(*given):
        nonlocal now_s
        launch(*given)
        rounds = ctypes.c_int.from_address(ctypes.c_void_p.from_address(given[9]).value).value
        now_s += LAUNCH_S + (lost_s.pop(0) if lost_s else 0.0) + rounds * ROUND_FLOP / FLOP_PER_S

    def copy(target, source, size, kind, stream):
        nonlocal now_s
        if kind == host.runtime.memcpyDeviceToDevice:
            now_s += (lost_s.pop(0) if lost_s else 0.0) + 2 * size / BYTES_PER_S
        else:
            ctypes.memmove(target, source, size)

    monkeypatch.setattr(host.driver, "launchKernel", compute)
    monkeypatch.setattr(host.runtime, "memcpyAsync", copy)
    monkeypatch.setattr(streams, "time", SimpleNamespace(perf_counter=lambda: now_s))
    return host.device(), lost_s


def test_a_device_of_known_rates_gives_these_rates(known):
    device, _ = known
    assert peaks.flop_per_s(device, 3) == pytest.approx([FLOP_PER_S] * 3, rel=0.01)
    assert peaks.copy_bytes_per_s(device, 3) == pytest.approx([BYTES_PER_S] * 3)


def test_a_slow_first_launch_is_not_taken_for_enough_work(known):
    device, lost_s = known
    lost_s.append(1.0)
    assert peaks.flop_per_s(device, 3) == pytest.approx([FLOP_PER_S] * 3, rel=0.01)


def test_a_measurement_that_was_interrupted_is_seen_in_the_range(known):
    device, lost_s = known
    lost_s += [0.0] * 8 + [1.0]  # two for each of 1, 2, 4 and 8 rounds, which take long enough
    slow, *others = peaks.flop_per_s(device, 3)
    assert slow < FLOP_PER_S / 50
    assert others == pytest.approx([FLOP_PER_S] * 2, rel=0.01)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("x[chain] = fmaf(x[chain], a, b);", "x[chain] += step == 0;"),
        ("chain < CHAINS; ++chain) x[chain] = fmaf", "chain < CHAINS - 1; ++chain) x[chain] = fmaf"),
        ("round < rounds", "round < rounds - 1"),
        (
            "y[blockIdx.x * THREADS + threadIdx.x] = sum;",
            "if (blockIdx.x) y[blockIdx.x * THREADS + threadIdx.x] = sum;",
        ),
    ],
    ids=["steps", "chains", "rounds", "blocks"],
)
def test_work_that_was_left_out_gives_no_peak(right, wrong):
    text = source_path("peaks").read_text()
    assert right in text
    device = replace(HostCuda().device(), compile=lambda _: compile_host(text.replace(right, wrong)))
    with pytest.raises(ReplayError, match=r"^CPU .*: 1 rounds of peaks\.multiply_adds gave wrong sums"):
        peaks.flop_per_s(device, 1)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_products_of_a_device_of_a_known_rate_give_it(monkeypatch, dtype):
    host, now_s, sizes = HostCuda(1 << 30), 0.0, []
    multiply = host.cublas.gemmStridedBatchedEx

    def compute(*given):
        nonlocal now_s
        multiply(*given)
        sizes.append(given[3])
        now_s += 2 * given[3] ** 3 / FLOP_PER_S

    monkeypatch.setattr(host.cublas, "gemmStridedBatchedEx", compute)
    monkeypatch.setattr(streams, "time", SimpleNamespace(perf_counter=lambda: now_s))
    assert peaks.gemm_flop_per_s(host.device(), dtype, 3) == pytest.approx([FLOP_PER_S] * 3)
    assert set(sizes) == {512}, "which takes 27 ms: larger ones would take longer than they need"


def test_products_grow_until_they_fill_a_fast_device(monkeypatch):
    host, now_s, sizes = HostCuda(1 << 30), 0.0, []

    def pretend(*given):
        nonlocal now_s
        sizes.append(given[3])
        now_s += 2 * given[3] ** 3 / 1e15

    monkeypatch.setattr(host.cublas, "gemmStridedBatchedEx", pretend)
    monkeypatch.setattr(streams, "time", SimpleNamespace(perf_counter=lambda: now_s))
    monkeypatch.setattr(peaks, "GEMM_MOST", 1024)
    monkeypatch.setattr(peaks, "GEMM_TOLERANCE", 1e9)  # nothing is computed
    assert peaks.gemm_flop_per_s(host.device(), "float16", 3) == pytest.approx([1e15] * 3)
    assert sorted(set(sizes)) == [512, 1024]


@pytest.mark.parametrize("wrong", ["not computed", "not scaled", "not transposed"])
def test_a_wrong_product_gives_no_peak(monkeypatch, wrong):
    host = HostCuda(1 << 30)
    multiply = host.cublas.gemmStridedBatchedEx

    def compute(*given):
        given = list(given)
        if wrong == "not scaled":
            given[5] -= 1
        if wrong == "not transposed":
            given[7], given[11] = given[11], given[7]
        if wrong != "not computed":
            multiply(*given)

    monkeypatch.setattr(host.cublas, "gemmStridedBatchedEx", compute)
    with pytest.raises(ReplayError, match=r"^CPU .*: a product of 512 x 512 in float32 is wrong, so its rate"):
        peaks.gemm_flop_per_s(host.device(), "float32", 1)


@pytest.mark.parametrize("host", [{"debug": True}, {"deferred": True}, {"schedule": 1}], ids=str)
def test_nothing_remains_on_the_device(host):
    made = HostCuda(1 << 30, **host)
    assert len(peaks.flop_per_s(made.device(), 2)) == len(peaks.copy_bytes_per_s(made.device(), 2)) == 2
    assert len(peaks.gemm_flop_per_s(made.device(), "float16", 2)) == 2
    assert made.memory.used_bytes == 0


def entry(flops, moved_bytes, n_iter=1, library_flops=0):
    kernel = Kernel("k", "k", (1, 1, 1), (1, 1, 1), (), flops=flops, moved_bytes=moved_bytes)
    product = Kernel("cublas", "gemm_float16", (1, 1, 1), (1, 1, 1), (), flops=library_flops)
    kernels = (kernel, product) if library_flops else (kernel,)
    return CatalogueEntry(KernelGraph("g", kernels, (), n_iter), fresh_inputs=False)


GRAPHS = {
    "half": (entry(10**9, 10**7), 0.002),  # least times are 1 ms by operations, 0.1 ms by memory
    "eighth": (entry(10**9, 10**7, n_iter=8), 0.064),
    "wide": (entry(10**6, 10**8), 0.00125),  # 1 us, 1 ms
    "asking": (entry(10**8, 10**7, library_flops=10**10), 0.004),  # 0.1 ms by its own operations, 1 ms by the library's
    "tiny": (entry(10**6, 10**5, n_iter=100), 0.005),  # 1 us a launch, which takes 10 us
}


def roofline_of(*names, **more):
    found = {"fp32_flop_per_s": 1e12, "device_copy_bytes_per_s": 1e11, "launch_s": 1e-5, **more}
    fits = SimpleNamespace(
        probed=lambda name: Estimate(found[name], f"probe: {name}"),
        has_probed=found.__contains__,
        run_s={name: {"kaas": Estimate(GRAPHS[name][1], "measured")} for name in names},
    )
    return roofline({name: GRAPHS[name][0] for name in names}, fits)


def test_parts_of_the_peaks_are_what_the_graphs_that_they_bound_reach():
    found = roofline_of("half", "eighth", "wide", "tiny")
    assert found["flops_per_s"] == Estimate(1e12, "probe: fp32_flop_per_s")
    assert found["bytes_per_s"] == Estimate(1e11, "probe: device_copy_bytes_per_s")
    assert found["compute_frac"].value == pytest.approx(0.25)
    assert found["compute_frac"].source.endswith("operations bound, by run_s: half 50.0%, eighth 12.5%")
    assert found["bandwidth_frac"].value == pytest.approx(0.8)
    assert found["bandwidth_frac"].source.endswith("memory bound, by run_s: wide 80.0%")


def test_a_library_has_a_peak_of_its_own():
    found = roofline_of("half", "asking", cublas_gemm_float16_flop_per_s=1e13)
    assert found["compute_frac"].value == pytest.approx(0.5), "the library's operations are none of the kernels'"
    assert found["library_frac"].value == pytest.approx(0.25)
    assert found["library_frac"].source.endswith("a library's operations bound, by run_s: asking 25.0%")


def test_a_library_that_the_probe_did_not_find_counts_as_kernels():
    found = roofline_of("asking")
    assert found["compute_frac"].value == pytest.approx((1e8 + 1e10) / 1e12 / 0.004)
    assert "library_frac" not in found


def test_a_peak_that_bounds_no_graph_is_taken_to_be_reached():
    found = roofline_of("tiny")
    for name, bound in (("compute_frac", "operations"), ("bandwidth_frac", "memory")):
        assert found[name] == Estimate(1.0, f"assumed: none of the measured graphs is bound by {bound}")
