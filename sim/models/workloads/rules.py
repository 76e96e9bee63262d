"""The one sentence that refuses a value."""

from __future__ import annotations

from sim.errors import ScenarioError
from sim.text import shown


def require(true: bool, key: str, value: object, rule: str) -> None:
    """Raise ScenarioError, naming the key, its value and the rule, unless it is true."""
    if not true:
        raise ScenarioError(f"{key}: is {shown(value)}, must be {rule}")
