"""What all policies share: parameters as dataclass fields, and a text that names them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from sim.domain import FleetSpec, Function, WorkerKind
from sim.protocol import Action, Costs, Event, Need, Standing, View
from sim.settings import describe


class BasePolicy:
    """Base of the policies: subclasses are dataclasses whose fields are the parameters.

    ``source`` cites where the rule comes from; the first line of the docstring says what the policy does.
    """

    name: ClassVar[str]
    workers: ClassVar[tuple[WorkerKind, ...]] = (WorkerKind.KAAS,)
    needs: ClassVar[frozenset[Need]] = frozenset()
    source: ClassVar[str]

    def describe(self) -> str:
        """``name[k=v,...]`` with every parameter; just the name when there are none."""
        return describe(self.name, self)

    def reset(self, fleet: FleetSpec, functions: Sequence[Function], costs: Costs, rng: np.random.Generator) -> None:
        """Forget everything and get ready for a run."""
        raise NotImplementedError

    def standing(self, fleet: FleetSpec) -> Sequence[Standing]:
        """A KaaS executor on each device, numbered like it; no exclusive workers."""
        return [Standing(d, -1) for d in fleet.present] if WorkerKind.KAAS in self.workers else []

    def on_event(self, now_s: float, event: Event, view: View) -> Sequence[Action]:
        """Answer an event."""
        raise NotImplementedError
