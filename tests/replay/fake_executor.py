"""An executor without a device, for worlds that must be quick or go wrong; its graphs' names say how they behave.

``sleep-MS``: takes so long. ``host-MS``: so does the host, and kernels take no time. ``warms-MS``: only the first
takes so long. ``meet...``: takes until another process is at ``meet``. ``fault``: a kernel fails. ``die``: the process
is killed from outside. ``stop``: it is stopped from outside, and stays so. ``refuse``: the invocation fails, nothing
else does.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

from replay.device.mps import PERCENTAGE
from replay.errors import ReplayError
from replay.executor.executor import KernelFault
from sim.domain import Role

PATH = f"{__name__}:FakeExecutor"
TELLING = f"{__name__}:TellingExecutor"
GIVE_UP_S = 300.0  # waiting for somebody who should be there already


def meet():
    """Wait until another process is here too; the place is the folder MEETING of the environment."""
    place = Path(os.environ["MEETING"])
    (place / str(os.getpid())).touch()
    until_s = time.monotonic() + GIVE_UP_S
    while len(os.listdir(place)) < 2:
        if time.monotonic() > until_s:
            raise ReplayError("nobody came")
        time.sleep(0.001)


class FakeExecutor:
    """The part of ``replay.executor.executor.Executor`` that workers use; what was used longest ago makes room."""

    def __init__(self, device, *, memory_limit_bytes, fill=None):
        self.capacity_bytes = memory_limit_bytes
        self._graphs = {}
        self._ran = set()
        self._changes = []
        self._resident = {}  # function -> bytes, used last at the end

    def register(self, function, graph, fresh_inputs):
        self._graphs[function] = graph

    def load_modules(self, graph):
        return 0.0

    def load(self, function):
        self._place(function)
        return 0.0

    def run(self, function, inputs=None):
        loaded_bytes, n_evicted = self._place(function)
        name = self._graphs[function].name
        begun_s = time.perf_counter()
        if name == "fault":
            raise KernelFault("kernel nn.broken failed")
        if name == "refuse":
            raise ReplayError("not today")
        if name == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        if name == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if name.startswith("meet"):
            meet()
        elif name.startswith("warms") and name in self._ran:
            pass
        else:
            time.sleep(float(name.partition("-")[2]) / 1e3)
        self._ran.add(name)
        run_s = 0.0 if name.startswith("host") else time.perf_counter() - begun_s
        return SimpleNamespace(
            modules_s=0.0,
            load_s=0.0,
            run_s=run_s,
            store_s=0.0,
            constant_bytes=loaded_bytes,
            n_evicted=n_evicted,
            changes=self._take_changes(),
        )

    def _place(self, function):
        """(bytes to load, functions evicted for them)."""
        size_bytes = self._graphs[function].bytes_of(Role.CONSTANT)
        loaded_bytes = size_bytes - self._resident.pop(function, 0)
        n_evicted = 0
        while sum(self._resident.values()) + size_bytes > self.capacity_bytes:
            oldest = next(iter(self._resident))
            self._changes.append((oldest, self._resident.pop(oldest), "evicted"))
            n_evicted += 1
        self._resident[function] = size_bytes
        if loaded_bytes:
            self._changes.append((function, loaded_bytes, ""))
        return loaded_bytes, n_evicted

    def _take_changes(self):
        changes = tuple(self._changes)
        self._changes.clear()
        return changes


class TellingExecutor(FakeExecutor):
    """Writes what its worker is, once for each function of each process, to the file TOLD of the environment."""

    def __init__(self, device, *, memory_limit_bytes, fill=None):
        super().__init__(device, memory_limit_bytes=memory_limit_bytes, fill=fill)
        self._told = {"pid": os.getpid(), "limit_bytes": memory_limit_bytes, "cap": os.environ.get(PERCENTAGE)}

    def register(self, function, graph, fresh_inputs):
        super().register(function, graph, fresh_inputs)
        with open(os.environ["TOLD"], "a") as file:
            file.write(json.dumps({"function": function, **self._told}) + "\n")
