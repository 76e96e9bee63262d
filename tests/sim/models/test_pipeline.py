"""Pipelined loading: by hand, and against a simulation of every group and every kernel."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.domain import Buffer, BufferArg, Direction, Function, Kernel, KernelGraph, Role, WorkerKind
from sim.models.buffers import BufferSet
from sim.models.calibration import load_calibration
from sim.models.costs import CostModel
from sim.models.layout import layout
from sim.models.pipeline import Groups, arrivals_s, first_launches, make_groups, overlap
from sim.models.tiers import Rung, Tier, Tiers, path
from sim.models.workloads import resnet50


def graph_of(uses, n_iter=1):
    """A graph whose kernels use the constants of these numbers."""
    kernels = tuple(
        Kernel("k", "k", (1, 1, 1), (1, 1, 1), tuple(BufferArg(str(c), Direction.IN) for c in used)) for used in uses
    )
    return KernelGraph("g", kernels, (), n_iter)


def constants(*sizes):
    return [Buffer(str(i), n, Role.CONSTANT) for i, n in enumerate(sizes)]


def set_of(buffers):
    return BufferSet([b.size_bytes for b in buffers], [b.size_bytes for b in buffers])


def test_by_hand():
    """Transfers of 2, 1, 1 s and runs of 1, 3, 1 s: arrivals at 2, 3, 4, and F = 3, 6, 7."""
    arrivals = arrivals_s([2, 1, 1], [Rung(1.0)])
    assert arrivals == [2, 3, 4]
    assert overlap(arrivals, [1, 3, 1]) == (4, 7, 2)


def test_by_hand_where_the_run_waits_for_every_group():
    assert overlap(arrivals_s([2, 2, 2], [Rung(1.0)]), [1, 1, 1]) == (6, 7, 2)


def test_five_layers_with_a_cost_for_each_group():
    """1 s before the first byte, 0.5 s for each later group: F = 4, 6.5, 7.5, 11.5, 13.5."""
    arrivals = arrivals_s([2, 1, 1, 3, 1], [Rung(1.0, 1.0, 0.5)])
    assert arrivals == [3, 4.5, 6, 9.5, 11]
    assert overlap(arrivals, [1, 2, 1, 2, 2]) == (11, 13.5, 5.5)


def test_two_rungs_by_hand():
    """Ends on the first rung at 2, 4, 6; the second takes 3 s each: 5, 8, 11."""
    assert arrivals_s([6, 6, 6], [Rung(3.0), Rung(2.0)]) == [5, 8, 11]


def test_who_waits_for_a_link_is_that_much_later():
    assert arrivals_s([6, 6], [Rung(3.0), Rung(2.0)], [10.0, 0.0]) == [15, 18]
    assert arrivals_s([6, 6], [Rung(3.0), Rung(2.0)], [0.0, 10.0]) == [15, 18]


def test_launches_before_the_first_constant_wait_for_nothing():
    buffers = constants(4, 4)
    launches = first_launches(graph_of([[], [0], [], [1]]), buffers)
    assert launches == [1, 3]
    groups = make_groups(set_of(buffers), launches, 2, 1)
    assert groups == Groups((0, 4, 4), (0, 1, 3))
    assert groups.runs_s([5.0, 6.0, 8.0, 9.0]) == [5, 3, 1]
    assert overlap(arrivals_s(groups.n_bytes, [Rung(1.0)]), groups.runs_s([5.0, 6.0, 8.0, 9.0])) == (8, 9, 8)


def test_a_group_ends_as_soon_as_it_is_large_enough():
    buffers = constants(1, 5, 2, 2, 3)
    sets, launches = set_of(buffers), [0, 1, 2, 3, 4]
    assert make_groups(sets, launches, 5, 1) == Groups((0, 1, 5, 2, 2, 3), (0, 0, 1, 2, 3, 4))
    assert make_groups(sets, launches, 5, 4) == Groups((0, 6, 4, 3), (0, 0, 2, 4))
    assert make_groups(sets, launches, 5, 100) == Groups((0, 13), (0, 0))
    assert make_groups(sets, launches, 2, 100) == Groups((0, 6), (0, 0))  # the rest is resident
    assert make_groups(sets, launches, 0, 1) == Groups((0,), (0,))


def test_buffers_that_are_made_on_the_device_are_in_no_group():
    assert make_groups(BufferSet([4, 4, 4], [0, 4, 0]), [0, 7, 8], 3, 1) == Groups((0, 4), (0, 7))


def test_a_kernel_that_uses_a_later_buffer_waits_for_all_before_it():
    buffers = constants(4, 4)
    groups = make_groups(set_of(buffers), first_launches(graph_of([[1], [0]]), buffers), 2, 1)
    assert groups == Groups((0, 4, 4), (0, 0, 0))
    assert groups.runs_s([1.0, 2.0]) == [0, 0, 2]


def test_a_buffer_of_no_kernel_is_needed_from_the_start():
    assert first_launches(graph_of([[]]), constants(4)) == [0]


def test_a_graph_that_is_repeated_waits_in_its_first_pass_only():
    buffers = constants(4)
    groups = make_groups(set_of(buffers), first_launches(graph_of([[], [0]], n_iter=3), buffers), 1, 1)
    assert groups.runs_s([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) == [1, 5]


def test_one_group_is_a_load_that_goes_whole():
    calibration = load_calibration("v100-kaas")
    its = layout(resnet50.build(), fresh_inputs=True).cached
    groups = make_groups(set_of(its), [0] * len(its), len(its), 10**12)
    way = [calibration.rungs.rung(t) for t in (Tier.DISK, Tier.PAGEABLE, Tier.PINNED)]
    loaded_s = arrivals_s(groups.n_bytes, way)[-1]
    assert loaded_s == pytest.approx(calibration.rungs.load_s(sum(b.size_bytes for b in its), Tier.DISK))
    assert overlap([0.0, loaded_s], [0.0, 0.25]) == (loaded_s, loaded_s + 0.25, 0)


def test_resnet50_starts_when_its_first_layers_are_there():
    """Nearly the larger of load and run: the first group isn't hidden, nor the run of the last."""
    calibration, graph = load_calibration("v100-kaas"), resnet50.build()
    costs = CostModel(calibration, [Function(0, "f", graph)], WorkerKind.KAAS)
    its = layout(graph, fresh_inputs=True, caches_temporaries=True)
    launches = first_launches(graph, its.cached)
    ends_s = costs.kernel_ends_s(0, float(costs.run_s[0]))
    over_s = {}
    for group_bytes in (1, 2**21, 2**40):
        groups = make_groups(its.cached_set, launches, its.cached_set.n, group_bytes)
        assert sum(groups.n_bytes) == costs.constants_bytes[0]
        runs_s = groups.runs_s(ends_s)
        assert sum(runs_s) == pytest.approx(costs.run_s[0])
        loaded_s, over_s[group_bytes], hidden_s = overlap(
            arrivals_s(groups.n_bytes, [calibration.rungs.pinned]), runs_s
        )
        assert hidden_s == pytest.approx(loaded_s + sum(runs_s) - over_s[group_bytes])
    longest_s = max(calibration.rungs.load_s(int(costs.constants_bytes[0]), Tier.PINNED), costs.run_s[0])
    assert longest_s < over_s[2**21] < 1.3 * longest_s < over_s[2**40]
    assert over_s[2**21] < over_s[1]  # 106 groups pay for themselves 1 ms


WHOLE = st.integers(0, 9)
RUNGS = st.lists(st.builds(Rung, st.sampled_from([1.0, 2.0, 4.0]), WHOLE, WHOLE), max_size=3)


def literal_arrivals(sizes, rungs, waits):
    """Second by quarter second: every rung takes the group that was first to come, if it has none."""
    queues = [[i for i, n in enumerate(sizes) if n], *[[] for _ in rungs]]
    busy, arrived, tick = [None] * len(rungs), {i: 0 for i, n in enumerate(sizes) if not n or not rungs}, 0
    since = [None] * len(rungs)
    while len(arrived) < len(sizes):
        for r, rung in enumerate(rungs):
            if busy[r] and busy[r][1] == tick:
                group, busy[r] = busy[r][0], None
                queues[r + 1].append(group)
                if r == len(rungs) - 1:
                    arrived[group] = tick / 4
            if busy[r] is None and queues[r]:
                if since[r] is None:
                    since[r] = tick
                if tick < since[r] + 4 * waits[r]:
                    continue
                first = queues[r][0] == next(i for i, n in enumerate(sizes) if n)
                extra = rung.fixed_s if first else rung.group_s
                busy[r] = (queues[r][0], tick + 4 * extra + 4 * sizes[queues[r][0]] / rung.bytes_per_s)
                queues[r].pop(0)
        tick += 1
    return [arrived[i] for i in range(len(sizes))]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), RUNGS, st.data())
def test_groups_pass_the_rungs_as_they_do_tick_by_tick(sizes, rungs, data):
    waits = data.draw(st.lists(WHOLE, min_size=len(rungs), max_size=len(rungs)))
    assert arrivals_s(sizes, rungs, waits) == literal_arrivals(sizes, rungs, waits)


@settings(max_examples=300)
@given(st.data())
def test_every_kernel_starts_when_the_one_before_it_and_all_it_uses_are_done(data):
    sizes = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=8))
    uses = data.draw(st.lists(st.lists(st.integers(0, len(sizes) - 1), max_size=3), min_size=1, max_size=8))
    n_iter = data.draw(st.integers(1, 2))
    durations = data.draw(st.lists(WHOLE, min_size=len(uses) * n_iter, max_size=len(uses) * n_iter))
    n_loaded, group_bytes = data.draw(st.integers(0, len(sizes))), data.draw(st.integers(1, 20))
    rung = data.draw(st.builds(Rung, st.sampled_from([1.0, 2.0]), WHOLE, WHOLE))

    buffers = constants(*sizes)
    groups = make_groups(set_of(buffers), first_launches(graph_of(uses, n_iter), buffers), n_loaded, group_bytes)
    arrivals = arrivals_s(groups.n_bytes, [rung])
    ends = [float(sum(durations[: i + 1])) for i in range(len(durations))]
    loaded_s, over_s, hidden_s = overlap(arrivals, groups.runs_s(ends))

    there, group, filled = {}, 1, 0  # when each buffer is there
    for i in range(n_loaded):
        there[i] = arrivals[group]
        filled += sizes[i]
        if filled >= group_bytes:
            group, filled = group + 1, 0
    named = {c for used in uses for c in used}
    now = max((at for i, at in there.items() if i not in named), default=0.0)
    for used, run in zip(uses * n_iter, durations, strict=True):
        now = max([now, *(there.get(c, 0.0) for c in used)]) + run
    assert over_s == now
    assert loaded_s == max(there.values(), default=0.0)
    run_s = sum(durations)
    assert 0 <= hidden_s <= min(loaded_s, run_s)
    assert hidden_s == loaded_s + run_s - over_s


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.data())
def test_groups_that_cost_nothing_never_make_it_later(sizes, data):
    """Between the larger of load and run, and their sum; finer groups win or tie."""
    runs = data.draw(st.lists(WHOLE, min_size=len(sizes), max_size=len(sizes)))
    buffers, launches, ends = set_of(constants(*sizes)), list(range(len(sizes))), []
    for run in runs:
        ends.append((ends[-1] if ends else 0.0) + run)
    over = []
    for group_bytes in (1, inf):
        groups = make_groups(buffers, launches, len(sizes), group_bytes)
        over.append(overlap(arrivals_s(groups.n_bytes, [Rung(1.0)]), groups.runs_s(ends)).over_s)
    assert max(sum(sizes), sum(runs)) <= over[0] <= over[1] == sum(sizes) + sum(runs)


LADDER = Tiers(pinned=Rung(4.0, 1.0, 1.0), pageable=Rung(2.0), disk=Rung(1.0, 2.0), remote=Rung(1.0, 3.0, 1.0))
LOADS = st.lists(
    st.tuples(st.integers(0, 20), st.sampled_from(list(Tier)[2:]), st.lists(st.integers(1, 9), min_size=1, max_size=4)),
    min_size=1,
    max_size=6,
)  # when it begins, from where, and bytes by group


def busy_s(sizes, tier):
    return LADDER.rung(tier).load_s(sum(sizes), len(sizes))


def play(loads):
    """What worlds do: a load takes its place on a link when its first group is ready for it. Waits and ends by load."""
    free_at = dict.fromkeys(Tier, 0.0)
    waits = [[] for _ in loads]
    ends = [0.0] * len(loads)
    ready = [(at, n) for n, (at, _, _) in enumerate(loads)]
    heapify(ready)
    while ready:
        now, n = heappop(ready)
        at, source, sizes = loads[n]
        way = path(source)
        tier = way[len(waits[n])]
        if tier is Tier.PAGEABLE:  # each load copies by itself
            waits[n].append(0.0)
        else:
            waits[n].append(max(free_at[tier] - now, 0.0))
            free_at[tier] = now + waits[n][-1] + busy_s(sizes, tier)
        arrivals = arrivals_s(sizes, [LADDER.rung(t) for t in way[: len(waits[n])]], waits[n])
        if len(waits[n]) < len(way):
            heappush(ready, (at + arrivals[0], n))
        ends[n] = at + arrivals[-1]
    return waits, ends


def literal_ends(loads):
    """Whole loads, quarter by quarter second: a queue for each link, first come, first served."""
    queues = {tier: [] for tier in Tier}
    ends, step, until = [None] * len(loads), [0] * len(loads), [4 * at for at, _, _ in loads]
    busy, tick = dict.fromkeys(Tier), 0
    while None in ends:
        for tier, n in busy.items():
            if n is not None and until[n] == tick:
                busy[tier] = None
        for n, (_, source, _) in enumerate(loads):  # done with the last rung, or about to begin
            if until[n] == tick:
                if step[n] == len(path(source)):
                    ends[n] = tick / 4
                else:
                    queues[path(source)[step[n]]].append(n)
                    step[n] += 1
        for tier, waiting in queues.items():
            while waiting and (tier is Tier.PAGEABLE or busy[tier] is None):
                n = waiting.pop(0)
                until[n] = tick + 4 * busy_s(loads[n][2], tier)
                busy[tier] = n
        tick += 1
    return ends


@settings(max_examples=200, deadline=None)
@given(LOADS)
def test_whole_loads_queue_for_links_as_they_do_tick_by_tick(loads):
    whole = [(at, source, [sum(sizes)]) for at, source, sizes in loads]
    assert play(whole)[1] == literal_ends(whole)


@given(LOADS)
def test_a_load_in_groups_waits_for_what_others_need_of_a_link_and_no_longer(loads):
    waits, ends = play(loads)
    for n, (at, source, sizes) in enumerate(loads):
        way = path(source)
        others = [(s, g) for m, (_, s, g) in enumerate(loads) if m != n]
        for tier, waited in zip(way, waits[n], strict=True):
            assert waited <= sum(busy_s(g, tier) for s, g in others if tier in path(s))
        alone = at + arrivals_s(sizes, [LADDER.rung(t) for t in way])[-1]
        assert alone <= ends[n] <= alone + sum(waits[n])
