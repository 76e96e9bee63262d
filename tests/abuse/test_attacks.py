"""Every attack with a small budget; ``make fuzz MINUTES=10`` goes on for longer, with another seed each time."""

from __future__ import annotations

import pytest

from tests.abuse.attacks import ATTACKS
from tests.abuse.core import campaign

SEED = 1
ATTEMPTS = 120  # times the share: a few seconds


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=list(ATTACKS))
def test_nothing_comes_of_it(attack):
    n = round(ATTEMPTS * attack.share)
    outcomes = campaign(attack, SEED, attempts=range(n))
    print(attack.name, dict(outcomes))
    assert outcomes.total() == n
    assert outcomes["refused"] > 0
