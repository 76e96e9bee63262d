"""Clocks and temperatures of GPUs while a run lasts: a GPU that gets hot or is short of power slows down."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import NamedTuple

from replay.device.nvml import Gpu

PERIOD_S = 0.5  # a GPU takes seconds to get hot; asking costs microseconds


class ClockSample(NamedTuple):
    """What NVML said at an instant of the run; None for what it doesn't tell."""

    device: int
    at_s: float
    sm_clock_mhz: int | None
    temperature_c: int | None


class ClockWatch:
    """Collects ``samples`` in a thread of its own for as long as it is entered.

    gpus: by number of the device; without any, nothing is sampled. now_s: seconds since the start of the run.
    """

    def __init__(self, gpus: Sequence[Gpu | None], now_s: Callable[[], float]) -> None:
        self.samples: list[ClockSample] = []
        self._gpus = [(device, gpu) for device, gpu in enumerate(gpus) if gpu is not None]
        self._now_s = now_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> ClockWatch:
        if self._gpus:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._gpus:
            self._thread.join()

    def _watch(self) -> None:
        while True:
            for device, gpu in self._gpus:
                self.samples.append(ClockSample(device, self._now_s(), gpu.sm_clock_mhz(), gpu.temperature_c()))
            if self._over.wait(PERIOD_S):
                return
