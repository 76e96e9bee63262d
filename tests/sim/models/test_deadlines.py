"""Deadlines from objectives: seconds, or multiples of what an invocation takes alone."""

from __future__ import annotations

from math import inf

import pytest

from sim.errors import ScenarioError
from sim.models.clients import ClientSettings
from sim.models.deadlines import read_slo


def test_an_objective_is_in_seconds_or_a_multiple_of_the_isolated_latency(tmp_path):
    file = tmp_path / "slo.csv"
    file.write_text("function,slo\na,0.25s\nc,10x\n\n")
    every, some = read_slo("3x", None), read_slo(None, str(file))
    both = read_slo("1.5s", str(file))
    assert every.deadlines_s("ab", [0.1, 0.2]) == pytest.approx([0.3, 0.6])
    assert some.deadlines_s("abc", [0.1, 0.2, 0.3]) == [0.25, inf, 3.0]
    assert both.deadlines_s("abc", [0.1, 0.2, 0.3]) == [0.25, 1.5, 3.0]
    assert read_slo(None, None) is None


@pytest.mark.parametrize("text", ["0s", "-1s", "3", "x", "3 x", "nans", "infs", "1e3s", "0.5m", "9" * 400 + "s"])
def test_what_is_no_objective_is_refused(text):
    rule = "must be seconds above 0 as 0.5s, or a multiple of the isolated latency as 3x"
    with pytest.raises(ScenarioError, match=rule):
        read_slo(text, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n", "has the columns none; must be function and slo"),
        ("slo,function\n", "has the columns slo, function; must be function and slo"),
        ("function,slo\na\n", "row 2: has 1 cells, must have 2"),
        ("function,slo\na,1s\na,2s\n", "row 3: the function 'a' is there already"),
        ("function,slo\na,soon\n", "row 2: slo is 'soon', must be seconds above 0 as 0.5s"),
        ('function,slo\na,"1s\n', "not CSV"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_by_row_and_rule(tmp_path, text, message):
    file = tmp_path / "slo.csv"
    file.write_text(text)
    with pytest.raises(ScenarioError) as refused:
        read_slo(None, str(file))
    assert str(refused.value).startswith(str(file))
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"timeout_s": 0.0}, "timeout_s is 0.0, must be a finite number above 0"),
        ({"timeout_s": inf}, "timeout_s is inf, must be a finite number above 0"),
        ({"timeout_s": 1.0, "retries": -1}, "retries is -1, must be from 0 to 30"),
        ({"timeout_s": 1.0, "backoff_s": 0.0}, "backoff_s is 0.0, must be above 0 and at most 1e9"),
    ],
)
def test_clients_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ScenarioError) as refused:
        ClientSettings(**settings)
    assert str(refused.value) == message


def test_clients_back_off_twice_as_long_each_time():
    settings = ClientSettings(1.0, retries=3, backoff_s=0.5)
    assert [settings.away_s(n) for n in range(3)] == [0.5, 1.0, 2.0]
