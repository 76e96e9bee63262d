"""Waves of blocks under a cap of multiprocessors: by hand, the cGEMM of the KaaS paper, and what must hold always."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.domain import Kernel, KernelGraph
from sim.models.calibration import Roofline
from sim.models.occupancy import Shared, kernel_s, n_waves, under_share
from sim.models.workloads.catalogue import load_catalogue

V100 = 80  # multiprocessors
ROOFLINE = Roofline(flops_per_s=15.7e12, bytes_per_s=900e9, compute_frac=0.5, bandwidth_frac=0.7)
SHARES = (1.0, 0.5, 0.25, 0.125)


def kernel(blocks=1, **more):
    return Kernel("m", "k", (blocks, 1, 1), (256, 1, 1), (), **more)


def graph(*kernels, n_iter=1):
    return KernelGraph("g", kernels, (), n_iter)


def cgemm():
    """Kernels of the authors: 196 blocks of K = 10,000, then one of K = 25,000, of a tile of 128 x 128."""
    block_flops = 8 * 128 * 128 * 10_000
    first, second = (kernel(n, flops=f) for n, f in ((196, 196 * block_flops), (1, 5 * block_flops // 2)))
    return graph(first, second)


@pytest.mark.parametrize(
    ("blocks", "share", "waves"),
    [(80, 1.0, 1), (81, 1.0, 2), (80, 0.5, 2), (1, 1e-9, 1), (2, 1e-9, 2), (2, 0.024, 2)],
)
def test_waves_are_counted_on_whole_multiprocessors_and_at_least_one(blocks, share, waves):
    assert n_waves(kernel(blocks), V100, share) == waves


def test_a_share_of_k_of_n_multiprocessors_is_k_of_them():
    assert [n_waves(kernel(k), 98, k / 98) for k in range(1, 99)] == [1] * 98  # 1 / 98 * 98 is below 1


def test_a_full_wave_takes_what_the_roofline_of_the_device_says():
    by_flops, by_bytes = kernel(640, flops=10**9), kernel(640, flops=10**9, moved_bytes=10**9)
    assert kernel_s(by_flops, V100, 1.0, ROOFLINE, 0.0) == pytest.approx(10**9 / 7.85e12)
    assert kernel_s(by_bytes, V100, 1.0, ROOFLINE, 0.0) == pytest.approx(10**9 / 630e9)


def test_a_block_takes_the_same_time_alone_and_in_a_full_wave():
    full, alone = kernel(80, flops=80 * 10**6), kernel(1, flops=10**6)
    assert kernel_s(alone, V100, 1.0, ROOFLINE, 0.0) == pytest.approx(kernel_s(full, V100, 1.0, ROOFLINE, 0.0))


@pytest.mark.parametrize("n_sms", [80, 108, 132])
def test_products_by_a_library_fill_a_device_where_kernels_leave_some_over(n_sms):
    """So that sharing a device gains little."""

    def busy_frac(graph):
        products = tuple(k for k in graph.kernels if k.name.startswith("gemm"))
        assert len(products) == 144
        return under_share(KernelGraph("products", products, ()), 1.0, n_sms, ROOFLINE, 0.0).sm_frac

    asked = load_catalogue("cublas")["bert-large-cublas"].graph
    assert busy_frac(asked) > 0.96 > busy_frac(load_catalogue("kaas")["bert"].graph)


@pytest.mark.parametrize(("share", "waves"), [(1.0, 3), (0.5, 5), (0.25, 10), (0.125, 20)])
def test_cgemm_of_the_paper_takes_its_waves_and_two_and_a_half_blocks(share, waves):
    first, second = cgemm().kernels
    block_s = kernel_s(replace(second, flops=first.flops // 196), V100, share, ROOFLINE, 0.0)
    assert kernel_s(first, V100, share, ROOFLINE, 0.0) / block_s == pytest.approx(waves)
    assert kernel_s(second, V100, share, ROOFLINE, 0.0) / block_s == pytest.approx(2.5)
    shared = under_share(cgemm(), share, V100, ROOFLINE, 0.0)
    assert shared.run_frac == pytest.approx((waves + 2.5) / 5.5)
    assert shared.sm_frac == pytest.approx((196 + 2.5) / 80 / (waves + 2.5))


def test_launches_bound_from_below():
    tiny = kernel(flops=1)
    assert kernel_s(tiny, V100, 0.125, ROOFLINE, 1e-5) == 1e-5


def test_a_kernel_occupies_multiprocessors_only_for_the_time_of_its_blocks():
    one = kernel(40, flops=10**9)
    block_s = kernel_s(one, V100, 1.0, ROOFLINE, 0.0)
    shared = under_share(graph(one), 1.0, V100, ROOFLINE, 4 * block_s)
    assert shared.sm_frac == pytest.approx(0.5 / 4)  # half of them, a quarter of the time


def test_bandwidth_is_moved_bytes_over_the_run_and_never_above_the_peak():
    one = kernel(640, moved_bytes=10**9)
    assert under_share(graph(one), 1.0, V100, ROOFLINE, 0.0).bandwidth_frac == pytest.approx(0.7)
    assert under_share(graph(one), 0.5, V100, ROOFLINE, 0.0).bandwidth_frac == pytest.approx(0.35)
    assert under_share(graph(one), 1.0, V100, ROOFLINE, 10**9 / 90e9).bandwidth_frac == pytest.approx(0.1)
    assert under_share(graph(one), 1.0, V100, replace(ROOFLINE, bandwidth_frac=2.0), 0.0).bandwidth_frac == 1.0


def test_iterations_change_nothing():
    one = kernel(100, flops=10**9, moved_bytes=10**7)
    once, often = (under_share(graph(one, n_iter=n), 0.25, V100, ROOFLINE, 1e-5) for n in (1, 1500))
    assert once == often


def test_a_graph_without_work_neither_stretches_nor_uses_anything():
    assert under_share(graph(kernel()), 0.5, V100, ROOFLINE, 0.0) == Shared(1.0, 0.0, 0.0)


KERNELS = st.builds(
    kernel,
    st.integers(1, 5000),
    flops=st.integers(0, 10**12),
    moved_bytes=st.integers(0, 10**10),
)


@given(st.lists(KERNELS, min_size=1, max_size=4), st.floats(1e-9, 1.0), st.floats(1e-9, 1e-3))
def test_a_graph_draws_no_more_of_what_memory_can_reach_than_it_has_of_the_multiprocessors(kernels, share, launch_s):
    its = under_share(graph(*kernels), share, V100, ROOFLINE, launch_s)
    assert its.bandwidth_frac <= ROOFLINE.bandwidth_frac * its.sm_frac * (1 + 1e-9)


@given(st.lists(KERNELS, min_size=1, max_size=4), st.floats(1 / 80, 1.0), st.floats(1 / 80, 1.0), st.floats(1e-9, 1e-3))
def test_a_smaller_cap_never_makes_a_graph_faster_nor_keeps_more_busy(kernels, a, b, launch_s):
    small, large = (under_share(graph(*kernels), share, V100, ROOFLINE, launch_s) for share in sorted((a, b)))
    assert small.run_frac >= large.run_frac >= 1
    assert small.sm_frac <= large.sm_frac
    assert small.bandwidth_frac <= large.bandwidth_frac
    assert small.sm_frac <= min(a, b) * (1 + 1e-9)
    assert small.sm_frac * small.run_frac == pytest.approx(large.sm_frac * large.run_frac)  # the blocks are the same


@pytest.mark.parametrize("name", ["resnet50", "bert", "cGEMM", "jacobi"])
def test_graphs_of_the_paper_get_sane_numbers(name):
    entry = load_catalogue("kaas")[name].graph
    capped = [under_share(entry, share, V100, ROOFLINE, 18e-6) for share in SHARES]
    assert capped[0].run_frac == 1
    assert all(1 <= c.run_frac <= 2 / share for c, share in zip(capped, SHARES, strict=True))
    assert all(0 < c.sm_frac <= share and 0 < c.bandwidth_frac < 0.7 for c, share in zip(capped, SHARES, strict=True))


def test_jacobi_is_bound_by_its_launches_under_any_cap():
    entry = load_catalogue("kaas")["jacobi"].graph
    assert {under_share(entry, share, V100, ROOFLINE, 18e-6).run_frac for share in SHARES} == {1.0}
