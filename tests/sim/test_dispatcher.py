"""The dispatcher refuses the impossible and tells the story; its belief follows the events."""

from __future__ import annotations

import numpy as np
import pytest

from sim.dispatcher import Dispatcher
from sim.domain import WorkerKind
from sim.errors import PolicyError
from sim.protocol import ANY_DEVICE, Arrival, Finished, Reject, Run, Standing, Start, Stop, WorkerReady, WorkerStopped
from tests.contract.scripted import FixedCosts, functions
from tests.support import scripted_fleet


class Puppet:
    """A policy that answers with what it was told."""

    def __init__(self, kind, *answers):
        self.workers, self.needs = (kind,), frozenset()
        self.answers = list(answers)

    def describe(self):
        return "puppet"

    def reset(self, fleet, functions, costs, rng):
        pass

    def standing(self, fleet):
        return [Standing(device, -1) for device in range(fleet.n_gpus)] if WorkerKind.KAAS in self.workers else []

    def on_event(self, now_s, event, view):
        return self.answers.pop(0) if self.answers else ()


def dispatcher(kind, *answers):
    return Dispatcher(
        Puppet(kind, *answers), scripted_fleet(2), functions(2), FixedCosts([1.0, 1.0]), np.random.default_rng(0)
    )


KAAS, EXCLUSIVE = WorkerKind.KAAS, WorkerKind.EXCLUSIVE


@pytest.mark.parametrize(
    ("kind", "standing", "story"),
    [
        (KAAS, [Standing(2, -1)], "the devices are 0 to 1"),
        (KAAS, [Standing(-1, -1)], "the devices are 0 to 1"),
        (KAAS, [Standing(0, 0)], "a worker of this policy is kaas, not exclusive"),
        (KAAS, [Standing(0, -1), Standing(0, -1)], "a KaaS executor without memory_bytes has a device to itself"),
        (KAAS, [Standing(0, -1, 0.5)], "a KaaS executor without memory_bytes has a device to itself"),
        (EXCLUSIVE, [Standing(0, -1)], "a worker of this policy is exclusive, not kaas"),
        (EXCLUSIVE, [Standing(0, 1), Standing(1, 2)], "the functions are 0 to 1"),
        (EXCLUSIVE, [Standing(0, 0, 0.0)], "a share is above 0 and at most 1"),
        (EXCLUSIVE, [Standing(0, 0, 1.5)], "a share is above 0 and at most 1"),
        (EXCLUSIVE, [Standing(0, 0, float("nan"))], "a share is above 0 and at most 1"),
    ],
)
def test_workers_that_can_not_stand_are_refused(monkeypatch, kind, standing, story):
    monkeypatch.setattr(Puppet, "standing", lambda self, fleet: standing)
    with pytest.raises(PolicyError, match=r"puppet begins with Standing\(.*, refused: ") as refused:
        dispatcher(kind)
    assert str(refused.value).endswith(story)


@pytest.mark.parametrize("standing", [None, 2, [0, 1], [(0, -1, 1.0)], iter([Standing(0, -1)])])
def test_what_is_no_list_of_workers_is_refused(monkeypatch, standing):
    monkeypatch.setattr(Puppet, "standing", lambda self, fleet: standing)
    with pytest.raises(PolicyError, match=r"must be a list or tuple of sim\.protocol\.Standing"):
        dispatcher(KAAS)


def test_workers_side_by_side_may_have_more_shares_than_there_are(monkeypatch):
    """MPS allows it, and shares the multiprocessors out."""
    standing = [Standing(0, 0, 0.75), Standing(0, 1, 0.75), Standing(1, 1)]
    monkeypatch.setattr(Puppet, "standing", lambda self, fleet: standing)
    assert [(w.device, w.function, w.ready) for w in dispatcher(EXCLUSIVE).workers.values()] == [
        (0, 0, True),
        (0, 1, True),
        (1, 1, True),
    ]


@pytest.mark.parametrize(
    ("kind", "answers", "story"),
    [
        (KAAS, [[Run(0, 2)]], "there is no worker 2"),
        (KAAS, [[Run(7, 0)]], "invocation 7 is not waiting but unknown or over"),
        (KAAS, [[Run(0, 0), Run(0, 1)]], "invocation 0 is not waiting but with worker 0"),
        (KAAS, [[Start(2, 0, 0)]], "a worker of this policy is kaas, not exclusive"),
        (KAAS, [[Stop(0)]], "Puppet.needs does not name executors (Need.EXECUTORS)"),
        (KAAS, [[Reject(3, "no")]], "invocation 3 is not waiting"),
        (EXCLUSIVE, [[Start(1, 0, 0)]], "the next worker must have the number 0"),
        (EXCLUSIVE, [[Start(0, 2, 0)]], "the devices are 0 to 1, or -1 for any"),
        (EXCLUSIVE, [[Start(0, 0, 2)]], "the functions are 0 to 1"),
        (EXCLUSIVE, [[Stop(0)]], "there is no worker 0"),
        (EXCLUSIVE, [[Start(0, 0, 0), Stop(0), Stop(0)]], "it is being stopped already"),
        (EXCLUSIVE, [[Start(0, 0, 0), Stop(0), Run(0, 0)]], "worker 0 is being stopped"),
        (
            EXCLUSIVE,
            [[Start(0, 0, 1), Run(0, 0)]],
            "invocation 0 is of function 0, worker 0 is a starting worker of function 1 on device 0 with 0 outstanding",
        ),
        (KAAS, [["nonsense"]], "it is no action"),
        (KAAS, [None], "it is no list or tuple of actions"),
        (KAAS, [iter([Run(0, 0)])], "it is no list or tuple of actions"),
    ],
)
def test_the_impossible_is_refused_with_its_story(kind, answers, story):
    with pytest.raises(
        PolicyError, match=r"^puppet answered Arrival\(invocation=0, function=0\) at 1.5 s with .*"
    ) as e:
        dispatcher(kind, *answers).report(1.5, Arrival(0, 0))
    assert str(e.value).endswith(f"refused: {story}")


def test_a_world_that_contradicts_the_belief_is_refused():
    d = dispatcher(KAAS, [Run(0, 0)])
    d.report(1.0, Arrival(0, 0))
    with pytest.raises(PolicyError, match="it had arrived before"):
        d.report(1.0, Arrival(0, 0))
    with pytest.raises(PolicyError, match="the worker did not have it"):
        d.report(2.0, Finished(0, 1))
    with pytest.raises(PolicyError, match="time went back"):
        d.report(0.5, Arrival(1, 0))


def test_a_worker_can_not_stop_with_work():
    d = dispatcher(EXCLUSIVE, [Start(0, 0, 0), Run(0, 0), Stop(0)])
    d.report(0.0, Arrival(0, 0))
    with pytest.raises(PolicyError, match="it had work"):
        d.report(1.0, WorkerStopped(0))


def test_a_worker_is_ready_where_it_was_ordered():
    d = dispatcher(EXCLUSIVE, [Start(0, 1, 0), Run(0, 0)])
    d.report(0.0, Arrival(0, 0))
    with pytest.raises(PolicyError, match="it was ordered to be on device 1"):
        d.report(1.0, WorkerReady(0, 0))


def test_the_belief_learns_which_device_a_worker_got():
    d = dispatcher(EXCLUSIVE, [Start(0, ANY_DEVICE, 0)])
    d.report(0.0, Arrival(0, 0))
    assert d.workers[0].device == ANY_DEVICE
    d.report(1.0, WorkerReady(0, 1))
    assert d.workers[0].device == 1


def test_the_belief_follows():
    d = dispatcher(EXCLUSIVE, [Start(0, 1, 0), Run(0, 0)], [], [Stop(0)], [], [Reject(1, "full")])
    d.report(0.0, Arrival(0, 0))
    assert (d.workers[0].ready, d.workers[0].outstanding, dict(d.waiting), d.running) == (False, 1, {}, {0: 0})
    d.report(1.0, WorkerReady(0, 1))
    assert d.workers[0].ready
    d.report(2.0, Finished(0, 0))
    assert (d.workers[0].outstanding, d.workers[0].stopping, d.running) == (0, True, {})
    d.report(2.0, WorkerStopped(0))
    assert d.workers == {}
    d.report(3.0, Arrival(1, 1))
    assert d.waiting == {}
    d.check()
