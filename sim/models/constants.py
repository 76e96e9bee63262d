"""Where the constants of functions are before anybody asks for them, and what nodes keep of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sim.models.eviction import make_strategy
from sim.models.tiers import Tier, Tiers
from sim.settings import require


@dataclass(frozen=True, slots=True)
class ConstantsSettings:
    """The ``constants`` of a scenario. home: where those of every function are for good, see ``sim.models.tiers``.

    host_memory_bytes, pinned_bytes: what a node keeps of what it has read, in pageable and in pinned memory; only
    what is nearer than home. peers: a GPU of the node that has them gives them over NVLink. loading: "pipelined"
    starts kernels when their constants are there, in groups of ``group_bytes`` (PipeSwitch; Torpor has 2 MiB, which is
    the default). eviction: which of the functions that a node keeps lose their place, see ``sim.models.eviction``.
    """

    home: Literal["pinned", "pageable", "disk", "remote"] = "pinned"
    host_memory_bytes: int = 0
    pinned_bytes: int = 0
    peers: bool = False
    loading: Literal["whole", "pipelined"] = "whole"
    group_bytes: int = 2 << 20
    eviction: str = "lru"

    def __post_init__(self) -> None:
        make_strategy(self.eviction)  # refuses a name that isn't known
        require(self.group_bytes >= 1, "group_bytes", self.group_bytes, "at least 1")
        for key, farther in (
            ("host_memory_bytes", ("disk", "remote")),
            ("pinned_bytes", ("pageable", "disk", "remote")),
        ):
            value = getattr(self, key)
            require(value >= 0, key, value, "at least 0")
            beyond = value == 0 or self.home in farther
            require(beyond, key, value, f"left out with constants that are {self.home} memory for good")


@dataclass(frozen=True, slots=True)
class Constants:
    """The same with the rates of a calibration. capacities: bytes of the tiers that keep copies."""

    tiers: Tiers
    home: Tier
    capacities: Mapping[Tier, int]
    group_bytes: int | None  # None for loads that go whole
    peers: bool = False
    eviction: str = "lru"


def constants_of(settings: ConstantsSettings, tiers: Tiers) -> Constants:
    """Put both together. Raises ScenarioError for a tier that the calibration does not have."""
    home = Tier(settings.home)
    tiers.load_s(1, home)
    if settings.peers:
        tiers.load_s(1, Tier.PEER)
    kept = {Tier.PAGEABLE: settings.host_memory_bytes, Tier.PINNED: settings.pinned_bytes}
    capacities = {tier: n for tier, n in kept.items() if n}
    group_bytes = settings.group_bytes if settings.loading == "pipelined" else None
    return Constants(tiers, home, capacities, group_bytes, settings.peers, settings.eviction)
