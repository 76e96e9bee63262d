"""What must hold for every built-in graph, and the figures of the true ones."""

from __future__ import annotations

from math import prod

import pytest

from replay.kernels.sources import check_launch, known_signatures, signatures, source_path
from sim.domain import Direction, Kernel, KernelGraph, Role
from sim.errors import ScenarioError
from sim.models.workloads import bert, cgemm, images, jacobi, products, resnet50, ssd_mobilenet, superres
from sim.models.workloads.build import GraphBuilder
from sim.models.workloads.catalogue import load_catalogue
from sim.models.workloads.recycle import recycle

GRAPHS = [e.graph for name in ("kaas", "small", "cublas") for e in load_catalogue(name).values()]
GRAPHS += [bert.build_base(), superres.build(), ssd_mobilenet.build()]
every_graph = pytest.mark.parametrize("graph", GRAPHS, ids=lambda g: g.name)


@every_graph
def test_buffers_stand_in_order_of_first_use(graph: KernelGraph) -> None:
    used = dict.fromkeys(a.buffer for k in graph.kernels for a in k.args)
    assert sorted(used) == sorted(b.name for b in graph.buffers)
    first = [b.name for b in graph.buffers if b.role is Role.TEMPORARY]
    assert first == [name for name in used if name in first]


@every_graph
def test_launches_fit_their_kernels(graph: KernelGraph) -> None:
    for kernel in graph.kernels:
        check_launch(kernel, known_signatures(kernel.source))
        assert 1 <= prod(kernel.block) <= 1024
        assert all(n >= 1 for n in (*kernel.grid, *kernel.block))
        assert max(kernel.grid[1:]) <= 65_535
        assert all(-(2**31) <= v < 2**31 for kind, v in kernel.literals if kind == "i")


@every_graph
def test_what_a_launch_writes_it_knows_by_one_name(graph: KernelGraph) -> None:
    """Pointers are declared __restrict__."""
    for kernel in graph.kernels:
        names = [a.buffer for a in kernel.args]
        assert all(names.count(a.buffer) == 1 for a in kernel.args if a.direction is not Direction.IN), kernel


@every_graph
def test_roles_are_kept(graph: KernelGraph) -> None:
    """Constants and inputs are never written, outputs are, and a temporary is written before it is read."""
    roles = {b.name: b.role for b in graph.buffers}
    written = set()
    for kernel in graph.kernels:
        for arg in kernel.args:
            if arg.direction is not Direction.IN:
                assert roles[arg.buffer] in (Role.OUTPUT, Role.TEMPORARY)
            if arg.direction is not Direction.OUT and roles[arg.buffer] is Role.TEMPORARY:
                assert arg.buffer in written, f"{kernel.name} reads {arg.buffer}, which nobody wrote"
        written |= {a.buffer for a in kernel.args if a.direction is not Direction.IN}
    assert written >= {name for name, role in roles.items() if role is Role.OUTPUT}


@every_graph
def test_work_is_plausible(graph: KernelGraph) -> None:
    sizes = {b.name: b.size_bytes for b in graph.buffers}
    for kernel in graph.kernels:
        touched = sum(sizes[a.buffer] * (2 if a.direction is Direction.INOUT else 1) for a in kernel.args)
        assert 0 < kernel.moved_bytes <= touched


def figures(graph: KernelGraph) -> tuple[int, ...]:
    """Kernels, bytes of constants, inputs and outputs, MFLOP."""
    flops = graph.n_iter * sum(k.flops for k in graph.kernels)
    return (
        graph.n_launches,
        *(graph.bytes_of(r) for r in (Role.CONSTANT, Role.INPUT, Role.OUTPUT)),
        round(flops / 1e6),
    )


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        (resnet50.build(), (57, 102_121_888, 602_112, 4_000, 8_178)),
        (bert.build(), (242, 1_336_377_352, 9_216, 3_072, 246_425)),
        (bert.build_base(), (122, 435_572_744, 9_216, 3_072, 70_667)),
        (superres.build(), (5, 238_628, 200_704, 1_806_336, 5_970)),
        (ssd_mobilenet.build(), (49, 90_564_888, 3_145_728, 2_400, 12_621)),
        (cgemm.build(), (2, 2_000_200_000, 8_000_000, 800, 200_020)),
        (resnet50.build(conv=products.conv), (130, 102_121_888, 602_112, 4_000, 8_178)),
        (bert.build(products=products.CUBLAS), (266, 1_336_377_352, 9_216, 3_072, 246_425)),
        (bert.build(products=products.CUBLAS_FP16), (362, 732_397_576, 9_216, 3_072, 246_425)),
        (jacobi.build(), (3_000, 0, 1_052_672, 4_104, 1_573)),
    ],
    ids=lambda value: value.name if isinstance(value, KernelGraph) else "",
)
def test_true_shapes(graph: KernelGraph, expected: tuple[int, ...]) -> None:
    """Parameters as published: ResNet-50 has 25.56 M before batch norm is folded, BERT-large 335 M."""
    assert figures(graph) == expected


def test_ssd_has_the_layers_of_gluoncv() -> None:
    names = [k.name for k in ssd_mobilenet.build().kernels]
    assert sum("conv" in name for name in names) == 47
    assert names[-2:] == ["decode", "suppress"]


@pytest.mark.parametrize("name", ["nn", "matmul", "ssd", "blas"])
def test_every_kernel_is_used(name: str) -> None:
    used = {k.name for g in [*GRAPHS, resnet50.build(image=448)] for k in g.kernels if k.source == name}
    assert used == set(signatures(source_path(name)))


def test_moved_bytes_of_a_convolution_by_hand() -> None:
    g = GraphBuilder("one")
    x = images.input_map(g, "x", 3, 4, 5)
    images.conv(g, x, 2, 3, "layer")
    (kernel,) = g.finish().kernels
    assert kernel.flops == 2 * (2 * 4 * 5) * (3 * 3 * 3)
    assert kernel.moved_bytes == 4 * (3 * 4 * 5 + 2 * 3 * 3 * 3 + 2 + 2 * 4 * 5)


def chain(sizes: list[int]) -> list[Kernel]:
    """Kernels of which each reads what the one before wrote; returns the builder's launches."""
    g = GraphBuilder("chain")
    before = g.input("x", 1)
    for i, n in enumerate(sizes):
        after = g.temporary(f"t{i}", n)
        g.launch("nn:softmax", (1, 1, 1), (1, 1, 1), (), reads=(before,), writes=(after,))
        before = after
    g.launch("nn:softmax", (1, 1, 1), (1, 1, 1), (), reads=(before,), writes=(g.output("y", 1),))
    return list(g.finish().kernels)


def test_recycled_temporaries_by_hand() -> None:
    """t0 -> t1 -> t2 -> t3: t2 takes the place of t0, and t3 that of t1, which grows."""
    kernels = chain([10, 20, 5, 30])
    assert [[a.buffer for a in k.args] for k in kernels] == [
        ["x", "temporary0"],
        ["temporary0", "temporary1"],
        ["temporary1", "temporary0"],
        ["temporary0", "temporary1"],
        ["temporary1", "y"],
    ]


@every_graph
def test_recycling_again_changes_nothing(graph: KernelGraph) -> None:
    buffers = {b.name: b for b in graph.buffers}
    kept = {b.name: b.size_bytes for b in graph.buffers if b.role is Role.TEMPORARY}
    again = {name: b.size_bytes for name, b in recycle(graph.kernels, buffers).items()}
    assert again == kept


def test_resnet_needs_three_activations_at_a_time() -> None:
    """Shortcut, input and output of a layer of 56 x 56 x 256: its peak, and no more buffers than that."""
    temporaries = [b.size_bytes for b in resnet50.build().buffers if b.role is Role.TEMPORARY]
    assert temporaries == [4 * 56 * 56 * 256] * 3


def test_builder_refuses_slips() -> None:
    g = GraphBuilder("slips")
    g.input("x", 1)
    with pytest.raises(ValueError, match="'x' is declared twice"):
        g.constant("x", 1, 1.0)
    with pytest.raises(ValueError, match="no kernel uses buffer 'x'"):
        g.finish()


@pytest.mark.parametrize("shape", [{"sequence": 600}, {"hidden": 100, "heads": 3}])
def test_bert_refuses_shapes_that_it_cannot_compute(shape: dict[str, int]) -> None:
    with pytest.raises(ScenarioError, match="must be at most positions 512, and hidden"):
        bert.build(**shape)
