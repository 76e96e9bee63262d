"""The placement book against a model that looks at everything each time, and what it costs to keep."""

from __future__ import annotations

import tracemalloc
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.firstfit import CLOSED, FirstFit
from sim.placement import Placed, PlacementBook
from sim.protocol import ANY_DEVICE

N_DEVICES, SIZE = 2, 4
N_SLOTS = N_DEVICES + 2  # the last are instances, which are opened
Takes = st.none() | st.integers(1, SIZE)
Standing = st.tuples(st.integers(0, N_DEVICES - 1), Takes)
Slots = st.integers(0, N_SLOTS - 1)
Moves = st.one_of(
    st.tuples(st.just("start"), st.just(ANY_DEVICE), Takes),
    st.tuples(st.just("start"), Slots, Takes),
    st.tuples(st.just("leave"), st.integers(0, 50), st.none()),
    st.tuples(st.just("close"), Slots, st.none()),
    st.tuples(st.just("open"), Slots, st.integers(1, SIZE)),
)


class Everybody:
    """Who is where and who waits, as lists of all workers in the order in which they came."""

    def __init__(self):
        self.size = dict.fromkeys(range(N_DEVICES), SIZE)  # of the slots that are open
        self.on = {slot: [] for slot in range(N_SLOTS)}
        self.line = []  # (worker, what it waits for)

    def start(self, worker, slot):
        self.line.append((worker, slot))
        return self._settle()

    def leave(self, worker):
        self.line = [waiting for waiting in self.line if waiting[0] is not worker]
        for workers in self.on.values():
            if worker in workers:
                workers.remove(worker)
        return self._settle()

    def open(self, slot, size):
        self.size[slot] = size
        return self._settle()

    def close(self, slot):
        del self.size[slot]
        left = [worker for worker, of in self.line if of == slot]
        self.line = [waiting for waiting in self.line if waiting[1] != slot]
        return left

    def _settle(self):
        """Who gets which slot now, in order."""
        got = {}
        while (placed := self._next()) is not None:
            waiting, slot = placed
            self.line.remove(waiting)
            self.on[slot].append(waiting[0])
            got[waiting[0]] = slot
        return got

    def _next(self):
        """The first of a slot's own line, if it fits there; then the first of those for any, where it fits first."""
        for of_any in (False, True):
            for slot in sorted(self.size):
                own = [waiting for waiting in self.line if waiting[1] == slot]
                anys = [waiting for waiting in self.line if waiting[1] == ANY_DEVICE]
                line = own if not of_any else [] if own else anys
                if line and self._fits(line[0][0], slot):
                    return line[0], slot
        return None

    def _fits(self, worker, slot):
        beside = self.on[slot]
        if worker.takes_bytes is None or any(other.takes_bytes is None for other in beside):
            return not beside
        return sum(other.takes_bytes for other in beside) + worker.takes_bytes <= self.size[slot]


@given(st.lists(Standing, max_size=6), st.lists(Moves, max_size=60))
def test_slots_go_to_those_that_the_rules_name(standing, moves):
    book, model, workers = PlacementBook([SIZE] * N_DEVICES), Everybody(), []
    for device, takes in standing:
        workers.append(Placed(takes))
        book.stand(workers[-1], device)
        model.on[device].append(workers[-1])
    for move, number, size in moves:
        if move == "start" and (number == ANY_DEVICE or number in model.size):
            workers.append(Placed(size))
            got = model.start(workers[-1], number)
            assert book.start(workers[-1], number) == (workers[-1] in got)
            assert set(got) <= {workers[-1]}
        elif move == "leave" and workers:
            worker = workers.pop(number % len(workers))
            got = model.leave(worker)
            assert book.leave(worker) == list(got)
        elif move == "close" and number in model.size and not model.on[number]:
            left = model.close(number)
            assert book.close(number) == left
            workers = [worker for worker in workers if worker not in left]
            assert not any(worker.waits for worker in left)
            got = {}
        elif move == "open" and number not in model.size:
            got = model.open(number, size)
            assert book.open(number, size) == list(got)
        else:
            got = {}
        assert all(worker.place == slot for worker, slot in got.items())
        for worker in workers:
            waits_for = [slot for waiting, slot in model.line if waiting is worker]
            assert worker.waits == bool(waits_for)
            assert worker.place in (waits_for or [slot for slot, on in model.on.items() if worker in on])


@given(
    st.lists(st.integers(CLOSED, 9), min_size=1, max_size=20),
    st.lists(st.tuples(st.integers(0, 19), st.integers(-5, 9), st.integers(0, 10)), max_size=30),
)
def test_the_first_that_fits_is_the_first_that_fits(room, changes):
    first = FirstFit(room)
    for place, changed, need in [(0, room[0], 0), *changes]:
        place %= len(room)
        room[place] = changed
        first.set(place, changed)
        for wanted in (need, changed + 1, max(room), max(room) + 1):
            if wanted >= 0:
                fits = [at for at, has in enumerate(room) if has >= wanted]
                assert first.find(wanted) == (fits[0] if fits else None)


def test_a_large_worker_is_not_starved_by_small_ones():
    """Small ones that come later wait behind it, wherever they may go."""
    book = PlacementBook([4, 4])
    early = [Placed(3), Placed(3)]
    assert [book.start(worker, ANY_DEVICE) for worker in early] == [True, True]
    large, small, elsewhere = Placed(4), Placed(1), Placed(1)
    assert [book.start(worker, ANY_DEVICE) for worker in (large, small)] == [False, False]
    assert book.start(elsewhere, 1)  # its own slot has room, and nobody waits for that one
    assert book.leave(early[1]) == []
    assert book.leave(elsewhere) == [large, small]  # which had room on the other since it came
    assert (large.place, small.place) == (1, 0)


def test_a_worker_leaves_when_it_was_told_so_has_no_work_and_is_not_in_the_middle_of_its_start():
    for stopping, has_work, ready, waits in product((False, True), repeat=4):
        worker = Placed()
        worker.stopping, worker.waits = stopping, waits
        leaves = worker.must_leave(ready=ready, has_work=has_work)
        assert leaves == (stopping and not has_work and (ready or waits))


@pytest.mark.parametrize("device", [0, ANY_DEVICE])
def test_those_that_left_their_line_are_forgotten(device):
    """Whoever comes and goes while a device is taken, or takes it in turns, leaves nothing behind."""
    book, first, steady = PlacementBook([1]), Placed(), Placed()
    book.start(first, 0)
    book.start(steady, device)

    def come_and_go():
        for _ in range(1000):
            worker = Placed()
            assert not book.start(worker, device)
            assert book.leave(worker) == []

    assert grown_bytes(come_and_go) < 1000
    assert book.leave(first) == [steady]


def test_a_device_that_is_taken_and_left_is_remembered_once():
    book = PlacementBook([1, 1])

    def take_turns():
        for _ in range(1000):
            worker = Placed()
            assert book.start(worker, 1)
            assert book.leave(worker) == []

    assert grown_bytes(take_turns) < 1000
    workers = [Placed() for _ in range(3)]
    assert [book.start(worker, ANY_DEVICE) for worker in workers] == [True, True, False]
    assert [worker.place for worker in workers] == [0, 1, ANY_DEVICE]


class Counted(Placed):
    """Counts how often somebody looks whether it waits."""

    n_looks = 0

    @property
    def waits(self):
        Counted.n_looks += 1
        return self.is_waiting

    @waits.setter
    def waits(self, waits):
        self.is_waiting = waits


def test_the_length_of_a_line_costs_nothing(monkeypatch):
    monkeypatch.setattr(Counted, "n_looks", 0)
    book, workers = PlacementBook([1]), [Counted() for _ in range(3000)]
    for worker in workers:
        book.start(worker, 0)
    for worker in workers[1::3] + workers[2::3]:
        book.leave(worker)  # out of the middle of the line
    for worker in workers[::3]:
        book.leave(worker)  # off the device
    assert Counted.n_looks < 10 * len(workers)


def grown_bytes(work):
    """How much more memory is in use after a second call than after a first."""
    work()
    tracemalloc.start()
    work()
    try:
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_a_slot_that_was_closed_is_empty_when_all_have_left_it():
    """Two stand there as if each had it all, a third waits; then it is opened again, with another size."""
    book = PlacementBook([10, 10])
    standing = [Placed(), Placed()]
    for worker in standing:
        book.stand(worker, 0)
    waiting, any_one = Placed(3), Placed(20)
    assert not book.start(waiting, 0)
    assert not book.start(any_one, ANY_DEVICE)
    assert book.close(0) == [waiting]
    assert [book.leave(worker) for worker in standing] == [[], []]
    assert book.open(0, 20) == [any_one]
    assert any_one.place == 0
