"""The placement book against a model that looks at everything each time, and what it costs to keep."""

from __future__ import annotations

import tracemalloc
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.placement import Placed, PlacementBook
from sim.protocol import ANY_DEVICE

N_DEVICES = 4
Devices = st.integers(0, N_DEVICES - 1)
Starts = st.tuples(st.just("start"), st.integers(ANY_DEVICE, N_DEVICES - 1))
Leaves = st.tuples(st.just("leave"), st.integers(0, 50))


class Everybody:
    """Who stands where and who waits, as lists of all workers in the order in which they came."""

    def __init__(self):
        self.on = {device: [] for device in range(N_DEVICES)}
        self.line = []  # (worker, what it waits for)

    def start(self, worker, device):
        self.line.append((worker, device))
        return self._settle()

    def leave(self, worker):
        self.line = [waiting for waiting in self.line if waiting[0] is not worker]
        for workers in self.on.values():
            if worker in workers:
                workers.remove(worker)
        return self._settle()

    def _settle(self):
        """Who gets which device now."""
        got = {}
        for device, workers in self.on.items():
            own = [waiting for waiting in self.line if waiting[1] == device]
            line = own or [waiting for waiting in self.line if waiting[1] == ANY_DEVICE]
            if line and not workers:
                self.line.remove(line[0])
                workers.append(line[0][0])
                got[line[0][0]] = device
        return got


@given(st.lists(Devices, max_size=6), st.lists(st.one_of(Starts, Leaves), max_size=60))
def test_devices_go_to_those_that_the_rules_name(standing, moves):
    book, model, workers = PlacementBook([1] * N_DEVICES), Everybody(), []
    for device in standing:
        workers.append(Placed())
        book.stand(workers[-1], device)
        model.on[device].append(workers[-1])
    for move, number in moves:
        if move == "start":
            workers.append(Placed())
            got = model.start(workers[-1], number)
            assert book.start(workers[-1], number) == (workers[-1] in got)
        elif workers:
            worker = workers.pop(number % len(workers))
            got = model.leave(worker)
            assert book.leave(worker) == list(got)
        else:
            got = {}
        assert len(got) <= 1
        assert all(worker.place == device for worker, device in got.items())
        for worker in workers:
            waits_for = [device for waiting, device in model.line if waiting is worker]
            assert worker.waits == bool(waits_for)
            assert worker.place in (waits_for or [d for d, on in model.on.items() if worker in on])


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
