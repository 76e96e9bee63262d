"""The instances that MIG can cut a GPU into: profiles by the name of the GPU, as tables.

A GPU has 7 compute slices and 8 memory slices, and an instance takes some of each, the memory slices in a row. L2 and
bandwidth come with the memory slices, so 3g has as much bandwidth as 4g (NVIDIA Multi-Instance GPU User Guide,
"Supported MIG Profiles"). The starts are in the order that ParvaGPU tries (SC '24, ``src/allocator.c``).

Sources. H100-80: SMs and memory as ``nvidia-smi mig -lgip`` printed them, second hand. A100-80: starts of 7g to 1g from
ParvaGPU. Not verified: the SMs of the A100, 14 a slice; the memory of instances of the A100, which differs by some
hundred MiB between drivers; starts of 1g.20gb, of the A100-40 and of the H100, taken to be the same in slices. Whoever
knows better makes a ``Table`` of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sim.errors import ScenarioError
from sim.settings import unknown

N_COMPUTE_SLICES = 7
N_MEMORY_SLICES = 8


@dataclass(frozen=True, slots=True)
class Profile:
    """A kind of instance.

    compute_slices: of 7. memory_slices: of 8. memory_bytes: what processes on it may allocate, with their contexts.
    n_sms: multiprocessors. compute_frac: their share of those of the whole GPU without MIG. at_most: instances of it on
    one GPU. starts: memory slices at which it may begin, the preferred first.
    """

    name: str
    compute_slices: int
    memory_slices: int
    memory_bytes: int
    n_sms: int
    compute_frac: float
    at_most: int
    starts: tuple[int, ...]

    @property
    def bandwidth_frac(self) -> float:
        """Share of the memory bandwidth, and of L2, of the whole GPU."""
        return self.memory_slices / N_MEMORY_SLICES


@dataclass(frozen=True, slots=True)
class Table:
    """The profiles of a GPU, by name, the largest first."""

    gpu: str
    profiles: Mapping[str, Profile]

    def __getitem__(self, name: str) -> Profile:
        """The profile of a name. Raises ScenarioError for one that the GPU lacks."""
        if name not in self.profiles:
            raise ScenarioError(unknown(f"MIG profile of {self.gpu}", name, self.profiles))
        return self.profiles[name]


def table_of(gpu: str) -> Table:
    """The table of a GPU: a100-40, a100-80 or h100-80. Raises ScenarioError for another."""
    if gpu not in TABLES:
        raise ScenarioError(unknown("GPU with MIG", gpu, TABLES))
    return TABLES[gpu]


def profiles_of(gpu: str) -> Mapping[str, Profile]:
    """The profiles of a GPU by name, the largest first. Raises ScenarioError for a GPU without a table."""
    return table_of(gpu).profiles


# compute slices, memory slices, at most, starts
_SHAPES: Mapping[str, tuple[int, int, int, tuple[int, ...]]] = {
    "7g": (7, 8, 1, (0,)),
    "4g": (4, 4, 1, (0,)),
    "3g": (3, 4, 2, (4, 0)),
    "2g": (2, 2, 3, (0, 4, 2)),
    "1g wide": (1, 2, 4, (0, 6, 4, 2)),
    "1g": (1, 1, 7, (0, 6, 4, 1, 2, 3, 5)),
    "1g+me": (1, 1, 1, (0, 6, 4, 1, 2, 3, 5)),  # with the media engines, of which there is one set
}


def _table(gpu: str, n_sms: int, rows: Mapping[str, tuple[str, int, int]]) -> Table:
    """rows: name, MiB and SMs of the profile of each shape."""
    profiles = {}
    for shape, (name, memory_mib, its_sms) in rows.items():
        compute, memory, at_most, starts = _SHAPES[shape]
        share = its_sms / n_sms
        profiles[name] = Profile(name, compute, memory, memory_mib << 20, its_sms, share, at_most, starts)
    return Table(gpu, profiles)


TABLES: Mapping[str, Table] = {
    table.gpu: table
    for table in (
        _table(
            "a100-40",
            108,
            {
                "7g": ("7g.40gb", 40_448, 98),
                "4g": ("4g.20gb", 20_096, 56),
                "3g": ("3g.20gb", 20_096, 42),
                "2g": ("2g.10gb", 9_984, 28),
                "1g wide": ("1g.10gb", 9_984, 14),
                "1g": ("1g.5gb", 4_864, 14),
                "1g+me": ("1g.5gb+me", 4_864, 14),
            },
        ),
        _table(
            "a100-80",
            108,
            {
                "7g": ("7g.80gb", 80_640, 98),
                "4g": ("4g.40gb", 40_192, 56),
                "3g": ("3g.40gb", 40_192, 42),
                "2g": ("2g.20gb", 19_968, 28),
                "1g wide": ("1g.20gb", 19_968, 14),
                "1g": ("1g.10gb", 9_728, 14),
                "1g+me": ("1g.10gb+me", 9_728, 14),
            },
        ),
        _table(
            "h100-80",
            132,
            {
                "7g": ("7g.80gb", 81_024, 132),
                "4g": ("4g.40gb", 40_320, 64),
                "3g": ("3g.40gb", 40_320, 60),
                "2g": ("2g.20gb", 20_096, 32),
                "1g wide": ("1g.20gb", 20_096, 26),
                "1g": ("1g.10gb", 9_984, 16),
                "1g+me": ("1g.10gb+me", 9_984, 16),
            },
        ),
    )
}
