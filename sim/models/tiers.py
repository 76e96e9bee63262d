"""Where the constants of a function lie, and the ladder from there to the device.

Every tier has a rung, which leads to the next tier on the way; what is on disk or in a remote store is read into
pageable host memory, copied to pinned memory, and sent from there:

    remote -> pageable, disk -> pageable, pageable -> pinned, pinned -> device, peer (another GPU) -> device

A load that goes whole takes the sum of its rungs: so a loader reads a file before it copies, and the driver copies from
pageable memory through pinned buffers of its own (CUDA C++ Best Practices Guide, Pinned Memory). A load that goes in
groups is on several rungs at once, see ``sim.models.pipeline``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from sim.errors import ScenarioError


class Tier(str, Enum):
    """Where bytes are, the nearest to the device first."""

    DEVICE = "device"  # memory of the device that needs them
    PEER = "peer"  # memory of another GPU of the node, over NVLink
    PINNED = "pinned"  # page-locked host memory, which a device reads by itself
    PAGEABLE = "pageable"  # other host memory
    DISK = "disk"  # of the node
    REMOTE = "remote"  # a store that the node reaches over the network


NEAREST_FIRST = tuple(Tier)
_NEXT = {
    Tier.PEER: Tier.DEVICE,
    Tier.PINNED: Tier.DEVICE,
    Tier.PAGEABLE: Tier.PINNED,
    Tier.DISK: Tier.PAGEABLE,
    Tier.REMOTE: Tier.PAGEABLE,
}


@dataclass(frozen=True, slots=True)
class Rung:
    """From a tier to the next. fixed_s: of a load, before its first byte. group_s: of every group but the first."""

    bytes_per_s: float
    fixed_s: float = 0.0
    group_s: float = 0.0

    def __post_init__(self) -> None:
        if not self.bytes_per_s > 0:
            raise ScenarioError(f"bytes_per_s is {self.bytes_per_s}, must be above 0")

    def load_s(self, n_bytes: int, n_groups: int = 1) -> float:
        """How long a load keeps this rung busy when it waits for no other; nothing takes no time."""
        return self.fixed_s + (n_groups - 1) * self.group_s + n_bytes / self.bytes_per_s if n_bytes else 0.0


@dataclass(frozen=True, slots=True)
class Tiers:
    """The rung of each tier; None where the stack has no such tier."""

    pinned: Rung
    pageable: Rung | None = None
    disk: Rung | None = None
    remote: Rung | None = None
    peer: Rung | None = None

    def rung(self, tier: Tier) -> Rung:
        """The rung that leads away from a tier. Raises ScenarioError when there is none."""
        rung: Rung | None = None if tier is Tier.DEVICE else getattr(self, tier.value)
        if rung is None:
            raise ScenarioError(f"tiers: {tier.value} is not given, but must be for constants that come from there")
        return rung

    def load_s(self, n_bytes: int, source: Tier, to: Tier = Tier.DEVICE) -> float:
        """How long a load takes that goes whole and never waits. Raises ScenarioError for a tier that is not given."""
        return sum(self.rung(tier).load_s(n_bytes) for tier in path(source, to))


def path(source: Tier, to: Tier = Tier.DEVICE) -> tuple[Tier, ...]:
    """The tiers whose rungs a load climbs, in order; none when it is as near already."""
    climbed = []
    while NEAREST_FIRST.index(source) > NEAREST_FIRST.index(to):
        climbed.append(source)
        source = _NEXT[source]
    return tuple(climbed)
