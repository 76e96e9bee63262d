"""Scheduling policies, by name. One policy a file; each is a pure state machine (``sim.protocol.Policy``)."""

from __future__ import annotations

from sim.errors import ScenarioError
from sim.policies.affinity import Affinity
from sim.policies.balance import Balance
from sim.policies.base import BasePolicy
from sim.policies.exclusive import Exclusive
from sim.policies.fractional import Fractional
from sim.policies.least_loaded import LeastLoaded
from sim.policies.static import Static
from sim.settings import parse

_POLICIES: dict[str, type[BasePolicy]] = {}


def register(policy: type[BasePolicy]) -> type[BasePolicy]:
    """Make a policy known by its name. Usable as a class decorator."""
    if policy.name in _POLICIES and _POLICIES[policy.name].__qualname__ != policy.__qualname__:
        raise ScenarioError(f"two policies are called {policy.name!r}")
    _POLICIES[policy.name] = policy
    return policy


for _policy in (Affinity, Balance, Exclusive, Fractional, LeastLoaded, Static):
    register(_policy)


def known() -> dict[str, type[BasePolicy]]:
    """The registered policies by name, sorted."""
    return dict(sorted(_POLICIES.items()))


def make_policy(text: str) -> BasePolicy:
    """Make a policy from ``name`` or ``name[k=v,...]``. Raises ScenarioError naming what is unknown or wrong."""
    return parse(text, known(), "policy")
