"""How workers share the multiprocessors of a device: by its name, as ``fleet.sharing`` of a scenario has it.

A way of sharing makes the bookkeeping of one device (``Jobs``), and says what a graph asks of it (``demand``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

from sim.models.occupancy import Shared
from sim.models.sharing.mps import Mps
from sim.models.sharing.slices import Slices
from sim.models.sharing.turns import Turns
from sim.settings import parse

if TYPE_CHECKING:
    from sim.models.costs import CostModel
    from sim.models.mig.profiles import Profile

__all__ = ["Jobs", "Mps", "Sharing", "Slices", "Turns", "known", "make_sharing"]


class Jobs(Protocol):
    """The jobs on one device and when they end, by number. There is no clock: the caller moves time."""

    def add(self, now_s: float, job: int, work_s: float, sm_frac: float, bandwidth_frac: float) -> None:
        """Start a job that isn't there yet; ``work_s``: its duration alone."""

    def remove(self, now_s: float, job: int) -> float:
        """End a job, or kill it. Returns the seconds of its work that are left: 0.0 at its end."""

    def left_s(self, now_s: float, job: int) -> float:
        """The seconds of a job's work that are left."""

    def cut(self, now_s: float, job: int, left_s: float) -> None:
        """Less is left of a job's work from now on; it keeps its place."""

    def next_end(self) -> tuple[float, int] | None:
        """Instant and job that ends first if nothing changes; None without jobs."""


class Sharing(Protocol):
    """A way of sharing."""

    name: ClassVar[str]
    caps: ClassVar[bool]  # whether a worker can be held to a share of the multiprocessors
    whole: ClassVar[bool]  # whether a graph is one job even where each of its kernels has an event of its own

    def jobs(self) -> Jobs:
        """The bookkeeping of one device."""

    def demand(self, costs: CostModel, function: int, share: float, profile: Profile | None = None) -> Shared:
        """What a graph of this function asks of a device, or an instance of it, under a cap on its multiprocessors.

        Raises ScenarioError when the calibration doesn't tell what is needed.
        """


def known() -> dict[str, type]:
    """The ways of sharing by name, sorted."""
    return {way.name: way for way in (Mps, Slices, Turns)}


def make_sharing(text: str) -> Sharing:
    """Make one from ``name`` or ``name[k=v]``. Raises ScenarioError naming what is unknown or wrong."""
    made: Sharing = parse(text, known(), "sharing")
    return made
