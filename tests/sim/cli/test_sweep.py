"""What is typed after ``simulate sweep`` is a study, and what it comes to is told."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from click.testing import CliRunner

from sim.cli import main
from sim.cli.sweep import factors_of
from tests.sim.sweeps.studies import write_study


def sweep(*words):
    return CliRunner().invoke(main, ["sweep", *map(str, words)])


def test_values_are_split_at_commas_outside_of_brackets_and_typed():
    typed = factors_of(("policy=affinity,keepalive[ttl=600,reuse=oldest],balance", "rate-scale=0.5,1, 2", "slo=3x"))
    assert typed == {
        "policy": ["affinity", "keepalive[ttl=600,reuse=oldest]", "balance"],
        "rate_scale": [0.5, 1, 2],
        "slo": ["3x"],
    }


def test_traces_and_factors_make_a_study(tmp_path):
    write_study(tmp_path)
    words = ("--set", "policy=balance", "--set", "rate-scale=1,0.5", "--seeds", "2", "--jobs", "1")
    done = sweep(tmp_path / "trace", *words, "-o", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told == {
        "results": str(tmp_path / "out" / "results.parquet"),
        "points": 4,
        "done_before": 0,
        "done": 4,
        "failed": {},
        "interrupted": False,
    }
    frame = pd.read_parquet(told["results"])
    assert [*frame[["rate_scale", "seed"]].itertuples(index=False, name=None)] == [(1, 0), (1, 1), (0.5, 0), (0.5, 1)]
    again = sweep(tmp_path / "trace", *words, "-o", tmp_path / "out")
    assert again.stdout == f"4 of 4 points done, 4 of them before; 0 failed\n{told['results']}\n"


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (("study.yaml", "trace"), "study.yaml: is a study, which stands alone"),
        (("none.yaml",), "none.yaml: can't be read"),
        (("trace",), "--set: factors is [], must be at least policy"),
        (("trace", "--set", "policy"), "--set 'policy': must look like KEY=V1,V2,..."),
        (("trace", "--set", "gpus=1", "--set", "gpus=2"), "--set gpus: is given twice"),
        (("trace", "--set", "policy=balance", "--jobs", "0"), "'0' is neither 'auto' nor a whole number"),
        (("trace", "--set", "policy=balance", "--set", "gpus=1,"), "gpus: is '', must be a whole number"),
        (("trace", "--set", "policy=afinity"), "policy=afinity seed=0: unknown policy 'afinity', did you mean"),
    ],
)
def test_what_makes_no_study_is_refused(tmp_path, monkeypatch, words, rule):
    write_study(tmp_path)
    monkeypatch.chdir(tmp_path)
    refused = sweep(*words, "-o", "out")
    assert refused.exit_code == 2
    assert rule in refused.stderr
    assert not (tmp_path / "out").exists()
