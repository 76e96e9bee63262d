"""Scheduling policies, by name. One policy a file; each is a pure state machine (``sim.protocol.Policy``)."""

from __future__ import annotations

from pathlib import Path

from sim.policies.affinity import Affinity
from sim.policies.balance import Balance
from sim.policies.base import BasePolicy
from sim.policies.ch_bl import BoundedHashing
from sim.policies.edf import EarliestDeadline
from sim.policies.exclusive import Exclusive
from sim.policies.exclusive_random import ExclusiveRandom
from sim.policies.files import load_policies
from sim.policies.fractional import Fractional
from sim.policies.keepalive import KeepAlive
from sim.policies.lalb import LocalityAware
from sim.policies.least_loaded import LeastLoaded
from sim.policies.least_slack import LeastSlack
from sim.policies.least_work import LeastWork
from sim.policies.mqfq import Mqfq
from sim.policies.mqfq_sticky import MqfqSticky
from sim.policies.paella import Paella
from sim.policies.power_of_d import PowerOfD
from sim.policies.round_robin import RoundRobin
from sim.policies.sjf import ShortestFirst
from sim.policies.srpt import ShortestRemaining
from sim.policies.static import Static
from sim.policies.wfq import WeightedFair
from sim.settings import IN_FILE, parse

_BUILT_IN: tuple[type[BasePolicy], ...] = (
    Affinity,
    Balance,
    BoundedHashing,
    EarliestDeadline,
    Exclusive,
    ExclusiveRandom,
    Fractional,
    KeepAlive,
    LeastLoaded,
    LeastSlack,
    LeastWork,
    LocalityAware,
    Mqfq,
    MqfqSticky,
    Paella,
    PowerOfD,
    RoundRobin,
    ShortestFirst,
    ShortestRemaining,
    Static,
    WeightedFair,
)
_POLICIES = {policy.name: policy for policy in _BUILT_IN}


def known() -> dict[str, type[BasePolicy]]:
    """The built-in policies by name, sorted."""
    return dict(sorted(_POLICIES.items()))


def make_policy(text: str) -> BasePolicy:
    """Make a policy from ``name`` or ``name[k=v,...]``, or ``FILE.py:CLASS[k=v,...]`` for one in a file.

    Raises ScenarioError naming what is unknown or wrong.
    """
    before, in_file, name = text.strip().rpartition(IN_FILE)
    if not in_file:
        return parse(text, known(), "policy")
    file = Path(f"{before}.py")
    return parse(name, load_policies(file), f"policy of {file}:")
