"""Every attack with a small budget; ``make fuzz MINUTES=10`` goes on for longer, with another seed each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.abuse.attacks import ATTACKS
from tests.abuse.core import campaign, run
from tests.abuse.samples import POLICIES, SCENARIO, TRACES, calibration, catalogue, parquet

SEED = 1
ATTEMPTS = 120  # times the share: a few seconds


def test_what_is_mangled_was_good(tmp_path, monkeypatch):
    """An attack that starts from what is refused anyway comes nowhere near the code behind."""
    monkeypatch.chdir(tmp_path)
    for name, text in {"s.yaml": SCENARIO, "c.json": calibration(), "g.json": catalogue()}.items():
        Path(name).write_text(text)
    for name, content in {**TRACES, "x.parquet": parquet()}.items():
        Path(name).write_bytes(content)
        if name != "durations.csv":  # a part of one
            assert run(["traces", "inspect", name]) == "done", name
    assert run(["simulate", "run", "--scenario", "s.yaml", "-o", "s"]) == "done"
    words = ["simulate", "run", "native.csv", "--functions", "catalogue"]
    for policy in POLICIES:
        assert run([*words, "--policy", policy, "--gpus", 2, "--calibration", "c.json", "-o", "c"]) == "done", policy
    assert run([*words, "--policy", "balance", "--catalogue", "g.json", "-o", "g"]) == "done"


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=list(ATTACKS))
def test_nothing_comes_of_it(attack):
    n = round(ATTEMPTS * attack.share)
    outcomes = campaign(attack, SEED, attempts=range(n))
    print(attack.name, dict(outcomes))
    assert outcomes.total() == n
    assert outcomes["refused"] > 0
