"""Scheduling policies, by name. One policy a file; each is a pure state machine (``sim.protocol.Policy``)."""

from __future__ import annotations

import dataclasses
import re
from typing import get_type_hints

from sim.errors import ScenarioError
from sim.policies.affinity import Affinity
from sim.policies.balance import Balance
from sim.policies.base import BasePolicy
from sim.policies.exclusive import Exclusive
from sim.policies.fractional import Fractional
from sim.policies.least_loaded import LeastLoaded
from sim.policies.static import Static

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


def parameters(policy: type[BasePolicy]) -> dict[str, tuple[type, object]]:
    """Type and default of each parameter of a policy."""
    hints = get_type_hints(policy)
    return {f.name: (hints[f.name], f.default) for f in dataclasses.fields(policy)}  # type: ignore[arg-type]


def make_policy(text: str) -> BasePolicy:
    """Make a policy from ``name`` or ``name[k=v,...]``. Raises ScenarioError naming what is unknown or wrong."""
    match = re.fullmatch(r"([\w-]+)(?:\[([^\[\]]*)\])?", text.strip())
    if match is None:
        raise ScenarioError(f"policy {text!r} must look like NAME or NAME[k=v,...]")
    name, settings = match.groups()
    policy = _POLICIES.get(name)
    if policy is None:
        raise ScenarioError(f"unknown policy {name!r}; the policies are {', '.join(known())}")
    allowed = parameters(policy)
    values = {}
    for setting in filter(None, (s.strip() for s in (settings or "").split(","))):
        key, equals, value = (part.strip() for part in setting.partition("="))
        if key not in allowed:
            takes = f"takes {', '.join(allowed)}" if allowed else "takes no parameters"
            raise ScenarioError(f"policy {text!r}: unknown parameter {key!r}; {name} {takes}")
        kind = allowed[key][0]
        try:
            values[key] = kind(value)
        except ValueError:
            what = "a whole number" if kind is int else "a number"
            raise ScenarioError(f"policy {text!r}: {key} is {value or equals!r}, must be {what}") from None
    try:
        return policy(**values)
    except ScenarioError as error:
        raise ScenarioError(f"policy {text!r}: {error}") from None
