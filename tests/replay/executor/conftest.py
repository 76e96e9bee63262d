import pytest

from replay.device.cpu.host import HostCuda
from tests.replay.executor.rig import spied
from tests.replay.launching import open_gpu


@pytest.fixture
def host():
    return HostCuda(64 << 20, debug=True)


@pytest.fixture(params=["cpu", "cpu, deferred", pytest.param("cuda:0", marks=pytest.mark.gpu)])
def device(request):
    """A device whose copies and allocations are watched; the deferred one runs nothing before it must."""
    if request.param != "cuda:0":
        return spied(HostCuda(64 << 20, debug=True, deferred="deferred" in request.param).device())
    return spied(open_gpu(request.param))
