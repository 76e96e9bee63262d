"""Sizes of the three benchmark graphs, as the KaaS benchmarks state them."""

import pytest

from replay.kernels.sources import check_launch, signatures, source_path
from sim.domain import Role
from sim.errors import ScenarioError
from sim.models.workloads import cgemm, jacobi, sgemm

MIB = 1 << 20


def sizes(graph):
    return {b.name: (b.role, b.size_bytes) for b in graph.buffers}


def test_cgemm():
    graph = cgemm.build()
    assert sizes(graph) == {
        "A": (Role.INPUT, 8_000_000),
        "B": (Role.CONSTANT, 2_000_000_000),
        "C": (Role.TEMPORARY, 20_000_000),
        "d": (Role.CONSTANT, 200_000),
        "e": (Role.OUTPUT, 800),
    }
    assert (graph.name, graph.n_launches) == ("cGEMM", 2)
    assert sum(k.flops for k in graph.kernels) == 8 * (100 * 10_000 * 25_000 + 100 * 25_000)
    assert graph.kernels[0].moved_bytes == 2_028_000_000
    assert graph.kernels[0].grid == (261, 1, 1)  # one row of blocks: B is read once


def test_jacobi():
    graph = jacobi.build()
    assert sizes(graph) == {
        "A": (Role.INPUT, 1_048_576),
        "b": (Role.INPUT, 4_096),
        "x": (Role.OUTPUT, 4_096),
        "x_new": (Role.TEMPORARY, 4_096),
        "residual": (Role.OUTPUT, 8),
    }
    assert (graph.name, len(graph.kernels), graph.n_iter) == ("jacobi", 2, 1500)


def test_sgemm():
    graph = sgemm.build()
    assert sizes(graph) == {
        "x": (Role.INPUT, 4 * MIB),
        **{f"W{i}": (Role.CONSTANT, 4 * MIB) for i in range(3)},
        "h0": (Role.TEMPORARY, 4 * MIB),
        "h1": (Role.TEMPORARY, 4 * MIB),
        "y": (Role.OUTPUT, 4 * MIB),
    }
    assert (graph.name, graph.n_launches) == ("sgemm", 3)
    assert [k.flops for k in graph.kernels] == [2 * 1024**3] * 3


@pytest.mark.parametrize("graph", [cgemm.build(), jacobi.build(), sgemm.build()], ids=lambda g: g.name)
def test_buffers_stand_in_order_of_first_use_and_launches_fit(graph):
    used = dict.fromkeys(a.buffer for k in graph.kernels for a in k.args)
    assert list(used) == [b.name for b in graph.buffers]
    for kernel in graph.kernels:
        check_launch(kernel, signatures(source_path(kernel.source)))


@pytest.mark.parametrize("sweeps", [-2, 0, 1, 3])
def test_jacobi_needs_pairs_of_sweeps(sweeps):
    with pytest.raises(ScenarioError, match=f"sweeps is {sweeps}, but must be even and positive"):
        jacobi.build(sweeps=sweeps)
