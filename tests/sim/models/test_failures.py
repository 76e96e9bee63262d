"""What fails when: by instants, and by processes that are exponential and nobody's else."""

from __future__ import annotations

import numpy as np
import pytest

from sim.domain import DeviceSpec, FleetSpec
from sim.errors import ScenarioError
from sim.models.failures import EVERY, Failure, Failures
from sim.schema import build

FLEET = FleetSpec(DeviceSpec("any", 10**9), 6, gpus_per_node=4, gpus_per_link=2)


def happenings(n, *entries, seed=0):
    failures = Failures(entries, FLEET, seed)
    return [failures.take() for _ in range(n) if failures.next is not None]


def test_given_instants_happen_once_and_end_after_their_time():
    found = happenings(9, Failure("device", 3, at_s=5.0, mttr_s=2.0), Failure("node", 1, at_s=6.0))
    assert [tuple(one) for one in found] == [(5.0, True, 0, 3), (6.0, True, 1, 1), (7.0, False, 0, 3)]


def test_what_is_repaired_at_an_instant_comes_before_what_fails_then():
    found = happenings(3, Failure("device", 0, at_s=7.0), Failure("device", 1, at_s=5.0, mttr_s=2.0))
    assert [(one.begins, one.unit) for one in found] == [(True, 1), (False, 1), (True, 0)]


@pytest.mark.parametrize(
    ("failure", "units"),
    [
        (Failure("device", at_s=1.0), [0, 1, 2, 3, 4, 5]),
        (Failure("node", at_s=1.0), [0, 1]),
        (Failure("link", at_s=1.0, factor=0.5), [0, 2, 4]),
        (Failure("link", 3, at_s=1.0, factor=0.5), [3]),
        (Failure("worker", at_s=1.0), [EVERY]),
        (Failure("worker", 99, at_s=1.0), [99]),
    ],
)
def test_what_is_not_named_is_each(failure, units):
    assert failure.units(FLEET) == units


def test_times_between_failures_and_to_repair_are_exponential_with_their_means():
    """Mean and standard deviation within 4 standard errors; of 3,000 draws of each."""
    found = happenings(6_000, Failure("device", 2, mtbf_s=50.0, mttr_s=5.0))
    gaps_s = np.diff([0.0, *(one.at_s for one in found)])
    for drawn_s, mean_s in ((gaps_s[::2], 50.0), (gaps_s[1::2], 5.0)):
        n = len(drawn_s)
        assert abs(drawn_s.mean() - mean_s) < 4 * mean_s / np.sqrt(n)
        assert abs(drawn_s.std() - mean_s) < 4 * mean_s * np.sqrt(2 / n)  # of an exponential: about sqrt(2 / n) of it


def test_every_device_has_a_process_of_its_own():
    found = happenings(600, Failure("device", mtbf_s=50.0, mttr_s=5.0))
    assert {one.unit for one in found} == set(range(6))
    for unit in range(6):
        assert [one.begins for one in found if one.unit == unit][:4] == [True, False, True, False]


def test_an_entry_draws_the_same_whatever_other_entries_there_are():
    drawn, given = Failure("device", mtbf_s=50.0, mttr_s=5.0), Failure("node", 0, at_s=1.0, mttr_s=1.0)
    both = [one for one in happenings(302, drawn, given) if one.entry == 0]
    assert both == happenings(300, drawn)
    assert happenings(300, drawn, seed=1) != both


def test_a_worker_may_crash_from_when_it_is_employed():
    failures = Failures([Failure("worker", mtbf_s=10.0), Failure("worker", 7, mtbf_s=10.0)], FLEET, 0)
    assert failures.next is None
    failures.employ(100.0, 3)
    failures.employ(100.0, 7)
    found = [failures.take() for _ in range(3)]
    assert sorted((one.entry, one.unit) for one in found) == [(0, 3), (0, 7), (1, 7)]
    assert all(one.at_s > 100.0 for one in found)
    assert failures.next is None


def test_what_is_skipped_does_not_fail_and_is_not_repaired():
    failures = Failures([Failure("device", 0, mtbf_s=10.0, mttr_s=1.0), Failure("node", 0, at_s=0.0)], FLEET, 0)
    failures.skip()
    first = failures.next
    failures.skip()
    assert first is not None
    assert failures.next is not None
    assert failures.next.begins
    assert failures.next.at_s > first.at_s
    assert failures.n_to_repair == 0


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"what": "device", "mtbf_s": -1}, "here: mtbf_s is -1.0, must be a finite number above 0"),
        ({"what": "device", "mtbf_s": 9, "mttr_s": 0}, "here: mttr_s is 0.0, must be a finite number above 0"),
        ({"what": "device"}, "here: at_s is None, must be given, or else mtbf_s, and never both"),
        (
            {"what": "device", "at_s": 1, "mtbf_s": 2},
            "here: at_s is 1.0, must be given, or else mtbf_s, and never both",
        ),
        ({"what": "device", "at_s": -2}, "here: at_s is -2.0, must be a finite number of at least 0"),
        ({"what": "device", "at_s": 1, "which": -1}, "here: which is -1, must be at least 0"),
        ({"what": "worker", "mtbf_s": 1, "mttr_s": 1}, "here: mttr_s is 1.0, must be left out with a worker"),
        ({"what": "slow", "at_s": 1}, "here: factor is None, must be a number above 1"),
        ({"what": "slow", "at_s": 1, "factor": 0.5}, "here: factor is 0.5, must be a number above 1"),
        ({"what": "link", "at_s": 1, "factor": 1}, "here: factor is 1.0, must be between 0 and 1"),
        ({"what": "node", "at_s": 1, "factor": 2}, "here: factor is 2.0, must be left out with what is lost"),
        ({"what": "rack", "at_s": 1}, "here: what: is 'rack', must be one of worker, device, node, slow, link"),
        ({"what": "node", "at_s": 1, "when": 2}, "here: unknown key 'when'; the keys are what, which, at_s, mtbf_s"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(entry, message):
    with pytest.raises(ScenarioError) as refused:
        build(Failure, entry, "here")
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (Failure("device", 6, at_s=1.0), "failures[0]: which is 6, must be below 6: the fleet has 6 devices"),
        (Failure("node", 2, at_s=1.0), "failures[0]: which is 2, must be below 2: the fleet has 2 nodes"),
        (Failure("link", 6, at_s=1.0, factor=0.5), "failures[0]: which is 6, must be below 6: the fleet has 6 devices"),
    ],
)
def test_what_the_fleet_does_not_have_is_refused(entry, message):
    with pytest.raises(ScenarioError) as refused:
        Failures([entry], FLEET, 0)
    assert str(refused.value) == message
