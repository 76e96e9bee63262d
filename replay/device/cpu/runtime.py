"""``cupy.cuda.runtime`` on a CPU: memory, copies, streams, events and captured graphs."""

from __future__ import annotations

import ctypes
import platform

from replay.device.cpu.errors import Faults, HostCudaError
from replay.device.cpu.memory import HostMemory
from replay.device.cpu.streams import DEFAULT_STREAM, HostStreams
from replay.kernels.limits import DEFAULT_SHARED_BYTES, MAX_SHARED_BYTES


class HostRuntime:
    """The functions of ``cupy.cuda.runtime`` that replay uses, with its names, arguments and constants."""

    memcpyHostToHost, memcpyHostToDevice, memcpyDeviceToHost, memcpyDeviceToDevice = range(4)
    streamDefault, streamNonBlocking = 0, 1
    eventDefault, eventBlockingSync, eventDisableTiming = 0, 1, 2
    hostAllocDefault = 0
    streamCaptureModeGlobal, streamCaptureModeThreadLocal, streamCaptureModeRelaxed = 0, 1, 2

    def __init__(self, memory: HostMemory, pinned: HostMemory, streams: HostStreams, faults: Faults) -> None:
        self._memory = memory
        self._pinned = pinned
        self._streams = streams
        self._faults = faults
        self._registered: dict[int, int] = {}

    # Device

    def getDeviceCount(self) -> int:
        """How many devices there are: one."""
        return 1

    def getDevice(self) -> int:
        """The current device: 0."""
        return 0

    def setDevice(self, device: int) -> None:
        """Make a device the current one. Raises HostCudaError for another than 0."""
        if device != 0:
            raise HostCudaError(1, f"device {device} asked, there is only 0")

    def getDeviceProperties(self, device: int) -> dict[str, object]:
        """Name, bytes of memory, and limits of a block; what a CPU has no counterpart of is left out."""
        self.setDevice(device)
        return {
            "name": f"CPU {platform.machine()}".encode(),
            "totalGlobalMem": self._memory.total_bytes,
            "major": 0,
            "minor": 0,
            "warpSize": 32,
            "maxThreadsPerBlock": 1024,
            "sharedMemPerBlock": DEFAULT_SHARED_BYTES,
            "sharedMemPerBlockOptin": MAX_SHARED_BYTES,
        }

    def driverGetVersion(self) -> int:
        """0: there is no driver."""
        return 0

    def runtimeGetVersion(self) -> int:
        """0: there is no runtime."""
        return 0

    def deviceSynchronize(self) -> None:
        """Run all that is queued. Raises HostCudaError for a fault in it."""
        self._faults.check()
        self._streams.synchronize_all()
        self._faults.surface()

    # Memory

    def malloc(self, size: int) -> int:
        """Address of that many bytes of device memory. Raises HostCudaError when there are not so many left."""
        self._faults.check()
        return self._memory.malloc(size)

    def free(self, ptr: int) -> None:
        """Give device memory back, when all that is queued has run."""
        self.deviceSynchronize()  # as cudaFree does
        self._memory.free(ptr)

    def memGetInfo(self) -> tuple[int, int]:
        """Bytes of device memory: free, in all."""
        self._faults.check()
        return self._memory.total_bytes - self._memory.used_bytes, self._memory.total_bytes

    def memcpy(self, dst: int, src: int, size: int, kind: int) -> None:
        """Copy bytes, and wait for it."""
        self.memcpyAsync(dst, src, size, kind, DEFAULT_STREAM)
        self.streamSynchronize(DEFAULT_STREAM)

    def memcpyAsync(self, dst: int, src: int, size: int, kind: int, stream: int) -> None:
        """Queue a copy of bytes. Raises HostCudaError for a range that is not in device memory."""
        self._faults.check()
        if kind in (self.memcpyHostToDevice, self.memcpyDeviceToDevice):
            self._memory.check(dst, size)
        if kind in (self.memcpyDeviceToHost, self.memcpyDeviceToDevice):
            self._memory.check(src, size)
        self._streams.enqueue(stream, lambda: ctypes.memmove(dst, src, size))

    def memset(self, ptr: int, value: int, size: int) -> None:
        """Queue setting bytes on the default stream."""
        self.memsetAsync(ptr, value, size, DEFAULT_STREAM)

    def memsetAsync(self, ptr: int, value: int, size: int, stream: int) -> None:
        """Queue setting bytes. Raises HostCudaError for a range that is not in device memory."""
        self._faults.check()
        self._memory.check(ptr, size)
        self._streams.enqueue(stream, lambda: ctypes.memset(ptr, value, size))

    def hostAlloc(self, size: int, flags: int) -> int:
        """Address of that many bytes of pinned memory."""
        self._faults.check()
        return self._pinned.malloc(size)

    def freeHost(self, ptr: int) -> None:
        """Give pinned memory back, when all that is queued has run."""
        self.deviceSynchronize()
        self._pinned.free(ptr)

    def hostRegister(self, ptr: int, size: int, flags: int) -> None:
        """Pin bytes of the caller. Raises HostCudaError when some of them are pinned already."""
        self._faults.check()
        if any(ptr < start + n and start < ptr + size for start, n in self._registered.items()):
            raise HostCudaError(712)
        self._registered[ptr] = size

    def hostUnregister(self, ptr: int) -> None:
        """Undo ``hostRegister``. Raises HostCudaError for an address that is not pinned."""
        self._faults.check()
        if self._registered.pop(ptr, None) is None:
            raise HostCudaError(713)

    # Streams and events

    def streamCreate(self) -> int:
        """A stream that is ordered with the default stream."""
        return self.streamCreateWithFlags(self.streamDefault)

    def streamCreateWithFlags(self, flags: int) -> int:
        """A stream; ``streamNonBlocking`` takes it out of the order with the default stream."""
        self._faults.check()
        return self._streams.create(blocking=not flags & self.streamNonBlocking)

    def streamDestroy(self, stream: int) -> None:
        """Forget a stream."""
        self._faults.check()
        self._streams.destroy(stream)

    def streamSynchronize(self, stream: int) -> None:
        """Run what a stream has queued. Raises HostCudaError for a fault in it."""
        self._faults.check()
        self._streams.synchronize(stream)
        self._faults.surface()

    def streamQuery(self, stream: int) -> int:
        """0 when a stream has nothing queued, else 600 (cudaErrorNotReady)."""
        self._faults.check()
        return 600 if self._streams.stream(stream).queue else 0

    def streamWaitEvent(self, stream: int, event: int, flags: int = 0) -> None:
        """What is queued from here on waits for an event."""
        self._faults.check()
        self._streams.order(stream, event)

    def eventCreate(self) -> int:
        """An event that takes times."""
        return self.eventCreateWithFlags(self.eventDefault)

    def eventCreateWithFlags(self, flags: int) -> int:
        """An event; with ``eventDisableTiming`` it takes no times."""
        self._faults.check()
        return self._streams.create_event(timed=not flags & self.eventDisableTiming)

    def eventDestroy(self, event: int) -> None:
        """Forget an event."""
        self._faults.check()
        self._streams.destroy_event(event)

    def eventRecord(self, event: int, stream: int) -> None:
        """Queue an event: it happens when a stream gets there."""
        self._faults.check()
        self._streams.record(event, stream)

    def eventSynchronize(self, event: int) -> None:
        """Run what is before an event. Raises HostCudaError for a fault in it."""
        self._faults.check()
        self._streams.wait(event)
        self._faults.surface()

    def eventQuery(self, event: int) -> int:
        """0 when an event has happened, else 600 (cudaErrorNotReady)."""
        self._faults.check()
        return 0 if self._streams.happened(event) else 600

    def eventElapsedTime(self, start: int, end: int) -> float:
        """Milliseconds between two events."""
        self._faults.check()
        return self._streams.elapsed_ms(start, end)

    # Graphs

    def streamBeginCapture(self, stream: int, mode: int = streamCaptureModeRelaxed) -> None:
        """From here on a stream records what it is given, instead of running it."""
        self._faults.check()
        self._streams.begin_capture(stream)

    def streamEndCapture(self, stream: int) -> int:
        """A graph of what was recorded."""
        self._faults.check()
        return self._streams.end_capture(stream)

    def streamIsCapturing(self, stream: int) -> bool:
        """Whether a stream records."""
        self._faults.check()
        return self._streams.stream(stream).captured is not None

    def graphInstantiate(self, graph: int) -> int:
        """A graph that can be launched."""
        self._faults.check()
        return self._streams.copy_graph(graph)

    def graphDestroy(self, graph: int) -> None:
        """Forget a recorded graph."""
        self._streams.destroy_graph(graph)

    def graphExecDestroy(self, graphExec: int) -> None:
        """Forget a graph that can be launched."""
        self._streams.destroy_graph(graphExec)

    def graphUpload(self, graphExec: int, stream: int) -> None:
        """Nothing: a graph needs no preparation here."""
        self._faults.check()

    def graphLaunch(self, graphExec: int, stream: int) -> None:
        """Queue what was recorded."""
        self._faults.check()
        self._streams.launch_graph(graphExec, stream)
