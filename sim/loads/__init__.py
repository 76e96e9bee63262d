"""Loads by name: what clients send when there is no trace file. One kind a file; each makes a ``sim.domain.Trace``."""

from __future__ import annotations

from sim.loads.clients import Clients, Load
from sim.loads.closed import Closed, NShot
from sim.loads.mlperf import MLPerf, MultiStream, Offline, Server, SingleStream, Verdict
from sim.loads.open import Poisson, Zipf
from sim.settings import parse

__all__ = ["Clients", "Load", "MLPerf", "Verdict", "known", "make_load"]


def known() -> dict[str, type[Load]]:
    """The loads by name, sorted."""
    loads: tuple[type[Load], ...] = (Closed, MultiStream, NShot, Offline, Poisson, Server, SingleStream, Zipf)
    return {load.name: load for load in sorted(loads, key=lambda load: load.name)}


def make_load(text: str) -> Load:
    """Make a load from ``name`` or ``name[k=v,...]``. Raises ScenarioError naming what is unknown, missing or wrong."""
    return parse(text, known(), "load")
