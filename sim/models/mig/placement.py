"""Which instances fit on a GPU together, and where; and how long it takes to change them.

Instances begin at the starts of their profile and must not overlap in memory slices. Compute slices need no rule of
their own: no set that obeys this one takes more than 7 of them, as a test shows for every set there is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sim.errors import ScenarioError
from sim.models.mig.profiles import N_MEMORY_SLICES, Profile, Table


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance at its place: it has the memory slices from ``start`` on."""

    profile: Profile
    start: int

    @property
    def memory_slices(self) -> range:
        """The memory slices that it has."""
        return range(self.start, self.start + self.profile.memory_slices)


def fit(table: Table, wanted: Sequence[str]) -> tuple[Instance, ...]:
    """Places for instances of the wanted profiles, in the order of ``wanted``; the same for the same names.

    If there is a way it is found. Raises ScenarioError, with the reason, for a profile that the GPU lacks, and for more
    than fits.
    """
    profiles = [table[name] for name in wanted]
    for name, n in Counter(wanted).items():
        if n > (at_most := table[name].at_most):
            raise ScenarioError(f"{table.gpu}: {n} instances of {name} are wanted, it holds at most {at_most}")
    if (n_slices := sum(p.memory_slices for p in profiles)) > N_MEMORY_SLICES:
        raise ScenarioError(f"{table.gpu}: {', '.join(wanted)} take {n_slices} memory slices, it has {N_MEMORY_SLICES}")
    order = sorted(range(len(profiles)), key=lambda i: -profiles[i].memory_slices)
    starts = _starts([profiles[i] for i in order], frozenset(range(N_MEMORY_SLICES)))
    if starts is None:
        raise ScenarioError(
            f"{table.gpu}: {', '.join(wanted)} don't fit together, as instances begin only at certain memory slices: "
            + ", ".join(f"{name} at {_either(table[name].starts)}" for name in dict.fromkeys(wanted))
        )
    start_of = dict(zip(order, starts, strict=True))
    return tuple(Instance(profile, start_of[i]) for i, profile in enumerate(profiles))


def _starts(profiles: Sequence[Profile], free: frozenset[int]) -> tuple[int, ...] | None:
    """Starts of the profiles in free memory slices; None if there are none. At most 7 profiles: all ways are tried."""
    if not profiles:
        return ()
    first, *others = profiles
    for start in first.starts:
        taken = range(start, start + first.memory_slices)
        if free.issuperset(taken) and (rest := _starts(others, free.difference(taken))) is not None:
            return (start, *rest)
    return None


def _either(starts: Sequence[int]) -> str:
    return " or ".join(map(str, sorted(starts)))


@dataclass(frozen=True, slots=True)
class Reconfiguration:
    """How long it takes to change the instances of a GPU; only those without processes can be changed.

    create_s: one instance; 2.15 s for three on an A100, from one log, second hand. destroy_s: one instance; not
    measured, taken to be the same. The MIG mode itself is on: switching it resets an A100, and is not modelled.
    """

    create_s: float = 2.15 / 3
    destroy_s: float = 2.15 / 3

    def takes_s(self, before: Sequence[Instance], after: Sequence[Instance]) -> float:
        """From one set of instances to another, one by one; those in both stay as they are."""
        n_destroyed = sum((Counter(before) - Counter(after)).values())
        n_created = sum((Counter(after) - Counter(before)).values())
        return n_destroyed * self.destroy_s + n_created * self.create_s
