"""Launches replayed as CUDA graphs: one call for thousands of launches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class _Capture:
    addresses: bytes
    executable: int | None = None


class Captures:
    """CUDA graphs by key, each for the addresses that it has inside.

    A capture costs more than plain launches, so it is made when the same addresses come for the second time, and
    dropped when others come.
    """

    def __init__(self, runtime: Any, stream: int) -> None:
        self._runtime = runtime
        self._stream = stream
        self._captures: dict[int, _Capture] = {}

    def launch(self, key: int, addresses: bytes, enqueue: Callable[[], None]) -> None:
        """Do what ``enqueue`` does, which launches the same whenever key and addresses are the same."""
        capture = self._captures.get(key)
        if capture is None or capture.addresses != addresses:
            self.drop(key)
            self._captures[key] = _Capture(addresses)
            enqueue()
            return
        if capture.executable is None:
            capture.executable = self._capture(enqueue)
        self._runtime.graphLaunch(capture.executable, self._stream)

    def drop(self, key: int) -> None:
        """Forget what was captured for a key."""
        capture = self._captures.pop(key, None)
        if capture is not None and capture.executable is not None:
            self._runtime.graphExecDestroy(capture.executable)

    def close(self) -> None:
        """Forget all."""
        for key in tuple(self._captures):
            self.drop(key)

    def _capture(self, enqueue: Callable[[], None]) -> int:
        self._runtime.streamBeginCapture(self._stream)
        enqueue()
        graph = self._runtime.streamEndCapture(self._stream)
        executable: int = self._runtime.graphInstantiate(graph)
        self._runtime.graphDestroy(graph)
        return executable
