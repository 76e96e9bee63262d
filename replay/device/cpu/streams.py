"""Streams, events and captured graphs on a CPU: in order, at once or (deferred) not before they must."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar

from replay.device.cpu.errors import HostCudaError

T = TypeVar("T")
Operation = Callable[[], object]
DEFAULT_STREAM = 0


@dataclass
class CpuStream:
    """``captured``: what a capture has so far."""

    queue: deque[Operation] = field(default_factory=deque)
    captured: list[Operation] | None = None


@dataclass
class Event:
    """``at_s`` is on the clock of ``time.perf_counter``. ``stream`` is the one whose queue holds the record."""

    timed: bool
    stream: CpuStream | None = None
    at_s: float | None = None


class HostStreams:
    """The operations that a device has been given.

    By default an operation runs when it is enqueued. With ``deferred``, none runs before something waits for it:
    a program that forgets to synchronize then reads stale memory, as it may on a GPU.
    """

    def __init__(self, deferred: bool) -> None:
        self._deferred = deferred
        self._handles = count(0x1000, 0x10)
        self._streams = {DEFAULT_STREAM: CpuStream()}
        self._events: dict[int, Event] = {}
        self._graphs: dict[int, list[Operation]] = {}

    def stream(self, handle: int) -> CpuStream:
        """The stream of a handle; error 400 if there is none."""
        return _get(self._streams, handle)

    def runs_at_once(self, handle: int) -> bool:
        """Whether an operation that is enqueued now runs now."""
        return not self._deferred and self.stream(handle).captured is None

    def enqueue(self, handle: int, operation: Operation) -> None:
        """Run, queue or capture an operation."""
        stream = self.stream(handle)
        if stream.captured is not None:
            stream.captured.append(operation)
        elif self._deferred:
            stream.queue.append(operation)
        else:
            operation()

    def synchronize(self, handle: int) -> None:
        """Run what is queued in a stream; error 900 while it is captured."""
        stream = self.stream(handle)
        if stream.captured is not None:
            raise HostCudaError(900)
        _drain(stream)

    def synchronize_all(self) -> None:
        """Run all that is queued; error 900 while any stream is captured."""
        for handle in tuple(self._streams):
            self.synchronize(handle)

    def create(self, blocking: bool) -> int:
        """Handle of a new stream. A blocking one keeps order with the default stream: it shares its queue."""
        queue = self._streams[DEFAULT_STREAM].queue if blocking else deque[Operation]()
        return self._add(self._streams, CpuStream(queue))

    def destroy(self, handle: int) -> None:
        """Forget a stream after what is queued in it has run."""
        _drain(self.stream(handle))
        del self._streams[handle]

    def create_event(self, timed: bool) -> int:
        """Handle of a new event."""
        return self._add(self._events, Event(timed))

    def destroy_event(self, handle: int) -> None:
        """Forget an event."""
        _get(self._events, handle)
        del self._events[handle]

    def record(self, handle: int, stream_handle: int) -> None:
        """Let an event happen after what the stream was given before. In a capture it only orders, and has no time."""
        event, stream = _get(self._events, handle), self.stream(stream_handle)
        event.at_s = None
        if stream.captured is not None:
            return
        event.stream = stream

        def happen() -> None:
            event.at_s, event.stream = time.perf_counter(), None

        self.enqueue(stream_handle, happen)

    def happened(self, handle: int) -> bool:
        """Whether nothing remains to wait for: an event that was never recorded counts as happened."""
        return _get(self._events, handle).stream is None

    def wait(self, handle: int) -> None:
        """Run what an event waits for."""
        _run_until(_get(self._events, handle))

    def order(self, stream_handle: int, handle: int) -> None:
        """Let later operations of a stream wait for an event as it is recorded now."""
        event = _get(self._events, handle)
        if event.stream is not None:
            self.enqueue(stream_handle, lambda: _run_until(event))

    def elapsed_ms(self, start: int, end: int) -> float:
        """Milliseconds between two events; error 400 unless both are timed and recorded, 600 while one is pending."""
        first, second = _get(self._events, start), _get(self._events, end)
        if first.stream is not None or second.stream is not None:
            raise HostCudaError(600)
        if first.at_s is None or second.at_s is None or not (first.timed and second.timed):
            raise HostCudaError(400)
        return (second.at_s - first.at_s) * 1e3

    def begin_capture(self, handle: int) -> None:
        """Collect what the stream is given instead of running it; error 900 if it is captured already."""
        stream = self.stream(handle)
        if stream.captured is not None or handle == DEFAULT_STREAM:
            raise HostCudaError(900)
        stream.captured = []

    def end_capture(self, handle: int) -> int:
        """Handle of the graph of what was captured; error 1 if nothing was begun."""
        stream = self.stream(handle)
        if stream.captured is None:
            raise HostCudaError(1, "the stream is not being captured")
        operations, stream.captured = stream.captured, None
        return self._add(self._graphs, operations)

    def copy_graph(self, handle: int) -> int:
        """Handle of a graph that can be launched, independent of the one it is made from."""
        return self._add(self._graphs, _get(self._graphs, handle).copy())

    def destroy_graph(self, handle: int) -> None:
        """Forget a graph."""
        _get(self._graphs, handle)
        del self._graphs[handle]

    def launch_graph(self, handle: int, stream_handle: int) -> None:
        """Enqueue the operations of a graph."""
        for operation in _get(self._graphs, handle):
            self.enqueue(stream_handle, operation)

    def _add(self, table: dict[int, T], item: T) -> int:
        handle = next(self._handles)
        table[handle] = item
        return handle


def _get(table: dict[int, T], handle: int) -> T:
    if handle not in table:
        raise HostCudaError(400, f"handle {handle:#x}")
    return table[handle]


def _drain(stream: CpuStream) -> None:
    while stream.queue:
        stream.queue.popleft()()


def _run_until(event: Event) -> None:
    while event.stream is not None and event.stream.queue:
        event.stream.queue.popleft()()
