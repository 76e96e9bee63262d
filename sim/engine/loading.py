"""How constants get into the memory of a device, where it is told where they lie: rung by rung, each link a queue.

See ``sim.models.tiers`` for the ladder, ``sim.models.hostmemory`` for what a node keeps, ``sim.models.pipeline`` for
runs that begin before all is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import simpy

from sim.domain import FleetSpec
from sim.engine.clock import Clock
from sim.engine.hardware import Link, SimDevice
from sim.models.constants import Constants
from sim.models.hostmemory import HostMemory
from sim.models.memory import BufferCache
from sim.models.pipeline import Groups, arrivals_s
from sim.models.tiers import Rung, Tier, path
from sim.protocol import FINISHED

# Called with the instants at which each group is there, as soon as they are known.
Loaded = Callable[[Sequence[float]], None]


class Node:
    """What the devices of a node share: host memory, disk, network.

    coming: the copies that are kept in a tier but are not there yet, by (tier, function), with what waits for them.
    """

    def __init__(self, memory: HostMemory) -> None:
        self.memory = memory
        self.disk = Link()
        self.network = Link()
        self.coming: dict[tuple[Tier, int], list[Callable[[], None]]] = {}

    def link(self, tier: Tier, device: SimDevice) -> Link | None:
        """What loads queue for that leave a tier for a device; None where none queues."""
        links = {Tier.PINNED: device.h2d, Tier.DISK: self.disk, Tier.REMOTE: self.network}
        return links.get(tier)

    def arrive(self, tier: Tier, function: int) -> None:
        """A copy is in a tier."""
        for go_on in self.coming.pop((tier, function), ()):
            go_on()


class Loading:
    """The loads of a fleet. constants_bytes: of each function. devices: by number, given before the first load."""

    def __init__(self, clock: Clock, fleet: FleetSpec, constants: Constants, constants_bytes: Sequence[int]) -> None:
        self._clock = clock
        self._tiers = constants.tiers
        self._fleet = fleet
        self._peers = constants.peers
        self.devices: dict[int, SimDevice] = {}
        self.group_bytes = constants.group_bytes
        memory = (constants_bytes, constants.capacities, constants.home, constants.eviction)
        self._nodes = [Node(HostMemory(*memory)) for _ in fleet.nodes]

    def load(self, device: SimDevice, function: int, groups: Groups, loaded: Loaded) -> None:
        """Load constants of a function, from the nearest place that has them, from now on.

        What another load is bringing to that place is waited for.
        """
        number = int(self._fleet.node_of[device.number % self._fleet.n_gpus])
        node = self._nodes[number]
        if self._peers and (found := self._peer(number, device, function)) is not None:
            self._copy_from(*found, function, groups, loaded)
            return
        source = node.memory.fetch(function).source
        way = path(source)
        climb = _Climb(self._clock, node, device, function, groups, way, [self._tiers.rung(t) for t in way], loaded)
        before = node.coming.get((source, function))
        for tier in way[1:]:
            node.coming.setdefault((tier, function), [])
        if before is None:
            climb.begin()
        else:
            before.append(climb.begin)

    def _peer(self, node: int, device: SimDevice, function: int) -> tuple[SimDevice, BufferCache] | None:
        """The first neighbour that has all buffers of a function, and where."""
        for gpu in self._fleet.gpus_of(node):
            peer = self.devices[gpu]
            if peer.number != device.number:
                for cache in peer.caches:
                    if cache.has(function):
                        return peer, cache
        return None

    def _copy_from(self, peer: SimDevice, cache: BufferCache, function: int, groups: Groups, loaded: Loaded) -> None:
        """The copies of the peer stay there until they are copied."""
        rung, now_s = self._tiers.rung(Tier.PEER), self._clock.now
        n_groups = sum(n > 0 for n in groups.n_bytes)
        waited_s, ends_s = peer.nvlink.reserve(now_s, rung.load_s(sum(groups.n_bytes), n_groups))
        cache.pin(function)
        self._clock.call(ends_s, FINISHED, lambda _: cache.unpin(function))
        loaded([now_s + at_s for at_s in arrivals_s(groups.n_bytes, [rung], [waited_s])])


class _Climb:
    """One load on its way: it queues for each rung when its first group is there."""

    def __init__(
        self,
        clock: Clock,
        node: Node,
        device: SimDevice,
        function: int,
        groups: Groups,
        way: Sequence[Tier],
        rungs: Sequence[Rung],
        loaded: Loaded,
    ) -> None:
        self._clock, self._node, self._device, self._function = clock, node, device, function
        self._n_bytes = groups.n_bytes
        self._n_groups = sum(n > 0 for n in groups.n_bytes)
        self._first = next(i for i, n in enumerate(groups.n_bytes) if n)
        self._way, self._rungs = way, rungs
        self._waits_s: list[float] = []
        self._loaded = loaded
        self._begun_s: float

    def begin(self) -> None:
        """It leaves the place that it comes from, now."""
        self._begun_s = self._clock.now
        self._go_on()

    def _go_on(self) -> None:
        """Wait for the instant at which the next rung is wanted, or tell when all is there."""
        n = len(self._waits_s)
        there_s = arrivals_s(self._n_bytes, self._rungs[:n], self._waits_s)
        if n == len(self._way):
            self._loaded([self._begun_s + at_s for at_s in there_s])
            return
        if n:
            reached, function = self._way[n], self._function
            self._clock.call(self._begun_s + max(there_s), FINISHED, lambda _: self._node.arrive(reached, function))
        self._clock.call(self._begun_s + there_s[self._first], FINISHED, self._queue)

    def _queue(self, _: simpy.Event) -> None:
        n = len(self._waits_s)
        link, waited_s = self._node.link(self._way[n], self._device), 0.0
        if link is not None:
            busy_s = self._rungs[n].load_s(sum(self._n_bytes), self._n_groups)
            waited_s = link.reserve(self._clock.now, busy_s)[0]
        self._waits_s.append(waited_s)
        self._go_on()
