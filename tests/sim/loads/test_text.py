"""Loads as text, and what all of them tell as traces."""

from __future__ import annotations

import re
from dataclasses import MISSING, dataclass
from pathlib import Path

import numpy as np
import pytest

from sim.domain import ClosedTrace
from sim.errors import ScenarioError
from sim.loads import Clients, known, make_load
from sim.settings import describe, parameters, parse
from tests.sim.loads.driver import arrivals

PAGE = Path(__file__).parents[3] / "docs/howto/load-generators.md"
EXAMPLES = {"poisson": "poisson[rate=30,duration=2]", "zipf": "zipf[rate=30]", "server": "server[rate=9,bound=0.05]"}


@dataclass
class Thing:
    count: int
    share: float = 0.5
    bound: float | None = None


def test_a_text_makes_the_thing_and_the_thing_tells_the_text():
    assert parse(" thing[count=3, share=1e-3] ", {"thing": Thing}, "thing") == Thing(3, 0.001)
    assert describe("thing", Thing(3)) == "thing[count=3,share=0.5]"
    assert describe("thing", Thing(3, bound=10.0)) == "thing[count=3,share=0.5,bound=10]"
    assert {key: kind for key, (kind, _) in parameters(Thing).items()} == {"count": int, "share": float, "bound": float}


@pytest.mark.parametrize("name", known())
def test_what_a_load_says_of_itself_reads_back(name):
    load = make_load(EXAMPLES.get(name, name))
    assert load.name == name
    assert load.source
    assert make_load(load.describe()) == load


@pytest.mark.parametrize("name", known())
def test_every_load_is_a_trace_of_its_clients(name):
    load = make_load(EXAMPLES.get(name, name))
    trace = load.trace(Clients(3, "resnet50", seed=4))
    assert [f.key for f in trace.functions] == [f.app for f in trace.functions]
    assert [f.key for f in trace.functions] == ["resnet50/0", "resnet50/1", "resnet50/2"]
    assert {f.trigger for f in trace.functions} == {"client"}
    assert trace.source.options == {"load": load.describe(), "clients": 3, "graph": "resnet50", "seed": 4}
    assert trace.source.duration_s == trace.duration_s
    first, again = arrivals(trace), arrivals(trace)
    np.testing.assert_array_equal(first.at_s, again.at_s)
    assert (np.diff(first.at_s) >= 0).all()
    assert first.function.dtype == np.int32
    assert set(first.function) == {0, 1, 2}
    assert (first.duration_s == trace.functions[0].mean_s).all()
    assert isinstance(trace, ClosedTrace) is (name in ("closed", "nshot", "single-stream", "multi-stream"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("close", r"unknown load 'close', did you mean 'closed'\? Known are closed, multi-stream, nshot,"),
        ("closed]", r"load 'closed\]' must look like NAME or NAME\[k=v,...\]"),
        ("poisson", "load 'poisson': the parameter rate is missing; poisson takes rate, duration"),
        ("closed[k=3]", r"load 'closed\[k=3\]': unknown parameter 'k'; closed takes outstanding, duration"),
        ("closed[outstanding=1.5]", "outstanding is '1.5', must be a whole number"),
        ("closed[duration]", "duration is '', must be a number"),
        ("closed[outstanding=0]", "outstanding is 0, must be at least 1"),
        ("closed[duration=inf]", "duration is inf, must be a finite number above 0"),
        ("poisson[rate=0]", "rate is 0.0, must be a finite number from 1e-09 on"),
        ("poisson[rate=1,duration=nan]", "duration is nan, must be a finite number above 0"),
        ("zipf[rate=1,exponent=1]", "exponent is 1.0, must be a finite number above 1"),
        ("zipf[rate=1,max_ratio=0.5]", "max_ratio is 0.5, must be at least 1"),
        ("nshot[n=0]", "n is 0, must be at least 1"),
        ("single-stream[min_queries=0]", "min_queries is 0, must be at least 1"),
        ("server[rate=nan]", "rate is nan, must be"),
        ("server[rate=1,bound=0]", "bound is 0.0, must be above 0"),
        ("offline[samples=0]", "samples is 0, must be at least 1"),
        ("offline[duration=-1]", "duration is -1.0, must be a finite number, 0 or more"),
    ],
)
def test_a_mistake_is_named(text, complaint):
    with pytest.raises(ScenarioError, match=complaint):
        make_load(text)


def test_there_is_no_load_without_clients():
    with pytest.raises(ScenarioError, match="clients is 0, must be from 1 to 100,000"):
        Clients(0, "resnet50")


def test_the_page_lists_every_load_with_its_parameters_and_defaults():
    rows = re.findall(r"^\| `([\w-]+)` \| (.*?) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    told = {name: cells.replace("`", "").split(", ") for name, cells in rows}
    assert told == {
        name: [
            key if default in (None, MISSING) else f"{key}={default:g}"
            for key, (_, default) in parameters(load).items()
        ]
        for name, load in known().items()
    }
