"""The stream of a device that all work of an executor goes through, in order, and the events that time it."""

from __future__ import annotations

from typing import Any

from replay.device.seam import Device


class DeviceStream:
    """A stream with ``n_marks`` events; ``handle`` is for launches.

    bounce: address of ``bounce_bytes`` of device memory, for moves. What is copied from and to the host must be pinned.
    """

    def __init__(self, device: Device, n_marks: int, bounce: int, bounce_bytes: int) -> None:
        self._runtime: Any = device.runtime
        self.handle: int = self._runtime.streamCreateWithFlags(self._runtime.streamNonBlocking)
        self._marks = [self._runtime.eventCreateWithFlags(self._runtime.eventDefault) for _ in range(n_marks)]
        self._bounce = bounce
        self._bounce_bytes = bounce_bytes

    def upload(self, target: int, source: int, n_bytes: int) -> None:
        """Copy host to device."""
        self._runtime.memcpyAsync(target, source, n_bytes, self._runtime.memcpyHostToDevice, self.handle)

    def download(self, target: int, source: int, n_bytes: int) -> None:
        """Copy device to host."""
        self._runtime.memcpyAsync(target, source, n_bytes, self._runtime.memcpyDeviceToHost, self.handle)

    def move(self, target: int, source: int, n_bytes: int) -> None:
        """Copy within the device to a lower address; the two ranges may overlap.

        CUDA leaves the copy of overlapping ranges undefined, so it is made in pieces that don't: as long as the
        distance, or by way of a bounce buffer where that would be many.
        """
        distance = source - target
        step = max(distance, self._bounce_bytes)
        for done in range(0, n_bytes, step):
            piece = min(step, n_bytes - done)
            if piece <= distance:
                self._copy(target + done, source + done, piece)
            else:
                self._copy(self._bounce, source + done, piece)
                self._copy(target + done, self._bounce, piece)

    def mark(self, i: int) -> None:
        """Record event ``i`` behind all that the stream was given."""
        self._runtime.eventRecord(self._marks[i], self.handle)

    def wait(self, i: int) -> None:
        """Wait for event ``i``."""
        self._runtime.eventSynchronize(self._marks[i])

    def elapsed_s(self, i: int, j: int) -> float:
        """Seconds between two events that have happened, to CUDA's 0.5 microseconds."""
        return float(self._runtime.eventElapsedTime(self._marks[i], self._marks[j])) * 1e-3

    def synchronize(self) -> None:
        """Wait for all that the stream was given."""
        self._runtime.streamSynchronize(self.handle)

    def close(self) -> None:
        """Destroy stream and events, after what was given to the stream is done."""
        self.synchronize()
        for mark in self._marks:
            self._runtime.eventDestroy(mark)
        self._runtime.streamDestroy(self.handle)

    def _copy(self, target: int, source: int, n_bytes: int) -> None:
        self._runtime.memcpyAsync(target, source, n_bytes, self._runtime.memcpyDeviceToDevice, self.handle)
