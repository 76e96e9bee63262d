"""The processes and tracks of a timeline, by number: requests first, then node by node, GPU by GPU, and its links."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from analysis.timeline.events import named_process, named_track

REQUESTS = 1  # the process of arrivals, replies, orders and counters
_NODES = 2  # the process of the first node


@dataclass
class Tracks:
    """Tracks get their numbers in the order in which they are asked for. node_of: of each device."""

    node_of: list[int]
    _named: dict[tuple[int, str], int] = field(default_factory=dict)

    def track(self, pid: int, name: str) -> int:
        """The number of a track, which no track of another process has."""
        return self._named.setdefault((pid, name), len(self._named) + 1)

    def node(self, device: int) -> int:
        """The process of the node of a device."""
        return _NODES + self.node_of[device]

    def names(self, more_devices: Iterable[int]) -> Iterator[str]:
        """Events that name all that was asked for, and the nodes of more devices."""
        pids = {pid for pid, _ in self._named} | {self.node(device) for device in more_devices}
        for pid in sorted(pids):
            yield from named_process(pid, "requests" if pid == REQUESTS else f"node {pid - _NODES}")
        for (pid, name), tid in self._named.items():
            yield from named_track(pid, tid, name)
