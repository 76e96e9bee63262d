"""Whole small graphs, run on the CPU stand-in, give what the network's definition gives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from sim.domain import KernelGraph, Role
from sim.models.workloads import bert, products, resnet50, ssd_mobilenet, superres
from tests.sim.models.workloads import reference
from tests.sim.models.workloads.device import Rig, fill

CASES: dict[str, tuple[Callable[[], KernelGraph], Callable[[reference.Values], np.ndarray]]] = {
    "resnet": (
        lambda: resnet50.build(image=50, width=10, blocks=(2, 1, 2, 1), classes=37),
        lambda v: reference.resnet(v, 50, (2, 1, 2, 1)),
    ),
    "superres": (
        lambda: superres.build(image=21, width=12),
        lambda v: reference.superres(v, 21, 3),
    ),
    "bert": (
        lambda: bert.build(layers=2, hidden=60, heads=3, sequence=37, vocabulary=101, positions=40),
        lambda v: reference.bert(v, 2, 60, 3, 37),
    ),
    "resnet by cuBLAS": (
        lambda: resnet50.build(image=50, width=10, blocks=(2, 1, 2, 1), classes=37, conv=products.conv),
        lambda v: reference.resnet(v, 50, (2, 1, 2, 1)),
    ),
    "bert by cuBLAS": (
        lambda: bert.build(
            layers=2, hidden=60, heads=3, sequence=37, vocabulary=101, positions=40, products=products.CUBLAS
        ),
        lambda v: reference.bert(v, 2, 60, 3, 37),
    ),
    "ssd": (
        lambda: ssd_mobilenet.build(image=90, width=8, classes=7, keep=30),
        lambda v: reference.ssd(v, 90, 7, 30),
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("schedule", [0, 1, 7])
def test_graph_computes_its_network(name: str, schedule: int) -> None:
    build, network = CASES[name]
    graph = build()
    values = fill(graph)
    expected = network(values).ravel()
    results = Rig(schedule=schedule).run_graph(graph, values)
    (output,) = (results[b.name] for b in graph.buffers if b.role is Role.OUTPUT)
    assert np.ptp(expected) > 0.01, "the network's output is flat: it would hide mistakes"
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_factors_in_float16_change_a_network_by_what_they_are_rounded_by() -> None:
    """A number is rounded by at most 2^-11 of itself, and a product has two of them."""
    graph = bert.build(
        layers=2, hidden=60, heads=3, sequence=37, vocabulary=101, positions=40, products=products.CUBLAS_FP16
    )
    values = fill(graph)
    expected = reference.bert(values, 2, 60, 3, 37).ravel()
    error = np.abs(Rig().run_graph(graph, values)["logits"] - expected).max() / np.abs(expected).max()
    assert 1e-6 < error < 2**-8
