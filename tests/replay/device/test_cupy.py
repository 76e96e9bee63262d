"""The CPU device has CuPy's functions: names, arguments and constants, as CuPy's docstrings give them."""

import inspect
import re
from contextlib import suppress

import pytest

from replay.device.cpu.cublas import HostCublas
from replay.device.cpu.driver import HostDriver
from replay.device.cpu.runtime import HostRuntime
from replay.device.cublas import import_cublas
from replay.errors import DeviceError

cuda = pytest.importorskip("cupy.cuda", reason="CuPy isn't installed")

HOSTS = {"runtime": HostRuntime, "driver": HostDriver}
with suppress(DeviceError):  # it may be installed without CuPy, and CuPy without it
    import_cublas()
    HOSTS["cublas"] = HostCublas
PUBLIC = [(module, name) for module, host in HOSTS.items() for name in vars(host) if not name.startswith("_")]


@pytest.mark.parametrize(("module", "name"), PUBLIC)
def test_same_as_in_cupy(module, name):
    theirs, mine = getattr(getattr(cuda, module), name), getattr(HOSTS[module], name)
    if isinstance(mine, type):
        assert issubclass(theirs, RuntimeError)
        return
    if not callable(mine):
        assert int(theirs) == mine
        return
    listed = re.match(rf"{name}\((.*?)\)(?: -> .*)?$", theirs.__doc__.splitlines()[0])[1]
    expected = [(a.split("=")[0].split()[-1], "=" in a) for a in listed.split(", ") if a]
    parameters = list(inspect.signature(mine).parameters.values())[1:]
    assert [(p.name, p.default is not p.empty) for p in parameters] == expected
