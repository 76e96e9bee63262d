"""The worlds, and what those of the replay begin with."""

from __future__ import annotations

import pytest

from tests.contract import worlds
from tests.contract.rules import check
from tests.replay.conftest import _at_root, _cache, _patience  # noqa: F401

WITHOUT_GPU = [worlds.scripted, worlds.simulated, worlds.replayed_on_cpu]
ON_GPU = pytest.param(worlds.replayed_on_gpu, marks=pytest.mark.gpu)


def carrier(carry_out, directory):
    """A world as tests take it: it carries out a script, and has kept the rules when it returns what it told."""

    def run(script, functions, n_gpus=1):
        load = worlds.ScriptLoad([(0.0, function) for function in functions], [0.005] * (max(functions) + 1), n_gpus)
        told = carry_out(script, load, directory)
        check(told, script, load)
        return told

    return run


@pytest.fixture(params=[worlds.scripted, worlds.simulated], ids=lambda world: world.__name__)
def virtual_world(request, tmp_path):
    """Each world whose time is virtual: they carry what a replay does not."""
    return carrier(request.param, tmp_path / "run")


@pytest.fixture(params=WITHOUT_GPU, ids=lambda world: world.__name__)
def world(request, tmp_path):
    """Each world that needs no GPU."""
    return carrier(request.param, tmp_path / "run")


@pytest.fixture(params=[*WITHOUT_GPU, ON_GPU], ids=lambda world: world.__name__)
def any_world(request, tmp_path):
    """Each world. What is asked of a GPU as well is little: there each start takes seconds of a short session."""
    return carrier(request.param, tmp_path / "run")
