"""What all tests of the replay begin with, and devices: the CPU and, where there is one, a GPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sim.policies
from replay.device.cpu.host import HostCuda
from replay.device.seam import Device
from tests.replay.launching import MEMORY_BYTES, Array, Session, open_gpu, run_graph, run_kernel
from tests.replay.worlds import Beside


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


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def host() -> HostCuda:
    return HostCuda(MEMORY_BYTES, debug=True)


@pytest.fixture(params=["cpu", pytest.param("cuda:0", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest, host: HostCuda) -> Device:
    return host.device() if request.param == "cpu" else open_gpu(request.param)


@pytest.fixture(name="run_kernel")
def _run_kernel() -> Callable[..., list[Array]]:
    return run_kernel


@pytest.fixture(name="run_graph")
def _run_graph() -> Callable[..., dict[str, Array]]:
    return run_graph


@pytest.fixture(name="session")
def _session() -> type[Session]:
    return Session
