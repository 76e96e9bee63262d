from __future__ import annotations

from pathlib import Path

import pytest

import sim.policies
from tests.replay_world.worlds import Beside


@pytest.fixture(autouse=True)
def _at_root(monkeypatch):
    """Workers find modules of tests from here."""
    monkeypatch.chdir(Path(__file__).parents[2])


@pytest.fixture
def beside(monkeypatch):
    """The policy ``Beside`` is known by its name."""
    monkeypatch.setitem(sim.policies._POLICIES, Beside.name, Beside)


@pytest.fixture(autouse=True)
def _patience(monkeypatch):
    """A busy machine makes arrivals late: only the test of lateness minds."""
    monkeypatch.setattr("replay.run.LATE_S", 3600.0)
