"""The ladder from where constants lie to the device: by hand, and what v100-kaas says of it."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import resources

import pytest

from sim.errors import ScenarioError
from sim.models.calibration import built_in, load_calibration
from sim.models.tiers import NEAREST_FIRST, Rung, Tier, Tiers, path

DEVICE, PEER, PINNED, PAGEABLE, DISK, REMOTE = NEAREST_FIRST
LADDER = Tiers(
    pinned=Rung(100.0, 1.0, 0.5), pageable=Rung(50.0), disk=Rung(10.0, 2.0), remote=Rung(5.0, 3.0), peer=Rung(200.0)
)
V100 = load_calibration("v100-kaas")


@pytest.mark.parametrize(
    ("source", "to", "way", "load_s"),
    [
        (DEVICE, DEVICE, (), 0),
        (PEER, DEVICE, (PEER,), 5),
        (PINNED, DEVICE, (PINNED,), 1 + 10),
        (PAGEABLE, DEVICE, (PAGEABLE, PINNED), 20 + 11),
        (DISK, DEVICE, (DISK, PAGEABLE, PINNED), 2 + 100 + 31),
        (REMOTE, DEVICE, (REMOTE, PAGEABLE, PINNED), 3 + 200 + 31),
        (DISK, PAGEABLE, (DISK,), 102),
        (REMOTE, DISK, (REMOTE,), 203),
        (DISK, PINNED, (DISK, PAGEABLE), 122),
        (PINNED, PAGEABLE, (), 0),
    ],
)
def test_a_load_that_goes_whole_takes_the_sum_of_the_rungs_on_its_way(source, to, way, load_s):
    assert path(source, to) == way
    assert LADDER.load_s(1000, source, to) == load_s


@pytest.mark.parametrize("source", NEAREST_FIRST)
def test_nothing_takes_no_time(source):
    assert LADDER.load_s(0, source) == 0


def test_every_group_but_the_first_keeps_its_rung_busy_for_longer():
    assert [LADDER.pinned.load_s(1000, n) for n in (1, 2, 5)] == [11, 11.5, 13]


def test_a_tier_that_is_not_given_is_named():
    with pytest.raises(ScenarioError, match=r"^tiers: disk is not given, but must be for constants that come from"):
        Tiers(pinned=Rung(1.0), pageable=Rung(1.0)).load_s(10, DISK)
    with pytest.raises(ScenarioError, match=r"^tiers: device is not given"):
        LADDER.rung(DEVICE)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_rates_are_above_0(rate):
    with pytest.raises(ScenarioError, match=r"^bytes_per_s is .*, must be above 0$"):
        Rung(rate)


@pytest.mark.parametrize("name", built_in())
def test_the_nearer_the_faster(name):
    """But for tiers that no load passes on its way from the other: disks and networks come in every order."""
    rungs = load_calibration(name).rungs
    times_s = [rungs.load_s(10**9, tier) for tier in NEAREST_FIRST[:4] if tier is DEVICE or getattr(rungs, tier.value)]
    assert times_s == sorted(times_s)


def test_without_tiers_everything_comes_from_pinned_memory_as_the_copies_do():
    rungs = replace(V100, tiers=None).rungs
    assert rungs == Tiers(pinned=Rung(V100.copies.h2d_bytes_per_s))
    assert rungs.load_s(10**9, PINNED) == 10**9 / V100.copies.h2d_bytes_per_s


def test_the_rate_from_pageable_memory_is_that_of_the_reloads_of_the_kaas_executor():
    assert V100.tiers is not None
    rate = 10**10 / V100.tiers.load_s(10**10, PAGEABLE)
    assert rate == pytest.approx(V100.copies.h2d_bytes_per_s, rel=1e-4)


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        (
            {"pinned": {"bytes_per_s": {"value": 0, "source": "assumed"}}},
            "tiers: pinned: bytes_per_s is 0.0, must be ab",
        ),
        ({"disk": {"bytes_per_s": {"value": 1, "source": "assumed"}}}, "tiers: the key 'pinned' is missing"),
        ({"tape": {}}, "tiers: unknown key 'tape'; the keys are pinned, pageable, disk, remote, peer"),
        ({"pinned": {"bytes_per_s": 5.0}}, "tiers: pinned: bytes_per_s: is 5.0, must be an object of value and source"),
    ],
)
def test_a_calibration_with_impossible_tiers_is_refused(spoilt, message, tmp_path):
    file = resources.files("sim.models").joinpath("calibrations", "v100-kaas.json")
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps(json.loads(file.read_text("utf-8")) | {"tiers": spoilt}))
    with pytest.raises(ScenarioError, match=message):
        load_calibration(str(bad))


def test_tiers_are_named_as_in_calibrations():
    assert [tier.value for tier in Tier] == ["device", "peer", "pinned", "pageable", "disk", "remote"]
