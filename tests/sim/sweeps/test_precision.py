"""Seeds are added until every point that can be is precise, and not without end."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.statistics.precision import LEAST
from sim.errors import ProjectError
from sim.sweeps.precision import MOST_SEEDS, parse_precision, until_precise
from sim.sweeps.study import Study
from sim.sweeps.sweep import Sweep

STUDY = Study("s", {"traces": ["t"]}, {"policy": ("a", "b")}, seeds=(0, 1))


def world(spread, *, unsteady=()):
    """Runs with a p99 about 1 s, and how many seeds each round had."""
    rounds = []

    def run(study):
        rounds.append(len(study.seeds))
        rows = [
            {"policy": policy, "seed": seed, "valid": True, "warnings": "not steady: x" if policy in unsteady else "",
             "latency_s.p99": 1 + spread[policy] * np.random.default_rng([seed, 1]).standard_normal()}
            for policy in study.factors["policy"] for seed in study.seeds
        ]  # fmt: skip
        return Sweep(pd.DataFrame(rows), len(rows), 0, {}, False)

    return run, rounds


def test_what_is_precise_at_once_has_the_least_seeds():
    run, rounds = world({"a": 0.001, "b": 0.002})
    until_precise(STUDY, parse_precision("p99=5%", ""), run, pytest.fail)
    assert rounds == [LEAST]


def test_the_widest_point_decides_how_many():
    run, rounds = world({"a": 0.001, "b": 0.2})
    came = until_precise(STUDY, parse_precision("p99=5%", ""), run, pytest.fail)
    assert LEAST < rounds[-1] <= MOST_SEEDS
    assert rounds == sorted(set(rounds))
    values = came.frame[came.frame.policy == "b"]["latency_s.p99"]
    assert 2 * values.std() / np.sqrt(len(values)) < 0.055 * values.mean()


def test_there_is_an_end():
    run, rounds = world({"a": 0.001, "b": 50.0})
    notes = []
    until_precise(STUDY, parse_precision("p99=5%", ""), run, notes.append)
    assert rounds[-1] == MOST_SEEDS
    assert "p99 is not known to 0.05 of itself" in notes[0]


def test_more_seeds_do_not_help_what_is_not_steady():
    run, rounds = world({"a": 0.001, "b": 50.0}, unsteady=("b",))
    until_precise(STUDY, parse_precision("p99=5%", ""), run, pytest.fail)
    assert rounds == [LEAST]


@pytest.mark.parametrize("text", ["p99", "p99=", "p99=0", "p99=100%", "p99=-5%", "p98=5%", "p99=5s"])
def test_what_is_no_precision_is_refused(text):
    with pytest.raises(ProjectError):
        parse_precision(text, "--precision")
