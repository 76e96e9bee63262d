"""Policies of users, from files of their own: found, refused with the place, and repeated from what a run says."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from sim.cli import main
from sim.errors import ScenarioError
from sim.policies import make_policy
from sim.policies.files import spell
from tests.support import same_tables
from traces.synth.azure2019 import write_azure2019

RANDOM = '''
from dataclasses import dataclass
from typing import ClassVar

from sim.policies.least_loaded import LeastLoaded
from sim.protocol import Arrival, Run


@dataclass
class Dice(LeastLoaded):
    """Any executor."""

    sides: int = 6
    name: ClassVar[str] = "dice"

    def reset(self, fleet, functions, costs, rng):
        self._rng, self._n = rng, fleet.n_gpus

    def on_event(self, now_s, event, view):
        return [Run(event.invocation, int(self._rng.integers(self._n)))] if type(event) is Arrival else []
'''


@pytest.fixture
def trace(tmp_path):
    write_azure2019(tmp_path / "trace", n_functions=10, minutes=2, rate_per_s=3.0, seed=1)
    return tmp_path / "trace"


def simulate(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


def written(tmp_path, code, name="mine.py"):
    (tmp_path / name).write_text(code)
    return tmp_path / name


def test_a_class_in_a_file_is_a_policy(tmp_path):
    file = written(tmp_path, RANDOM)
    policy = make_policy(f"{file}:Dice[sides=8]")
    assert policy.describe() == "dice[sides=8]"
    assert spell(policy) == f"{file}:Dice[sides=8]"
    assert type(make_policy(spell(policy))) is type(policy)
    assert spell(make_policy("affinity")) == "affinity[penalty=10]"


def test_a_file_that_has_changed_is_read_again(tmp_path):
    before = make_policy(f"{written(tmp_path, RANDOM)}:Dice")
    after = make_policy(f"{written(tmp_path, RANDOM.replace('= 6', '= 20'))}:Dice")
    assert (before.sides, after.sides) == (6, 20)


@pytest.mark.parametrize(
    ("code", "text", "complaint"),
    [
        (RANDOM, "Dise", r"unknown policy of .*mine\.py: 'Dise', did you mean 'Dice'\? Known are Dice"),
        (RANDOM, "Dice[side=2]", r"'Dice\[side=2\]': unknown parameter 'side'; Dice takes sides"),
        ("x = 1\nboom\n", "Dice", r"mine\.py, line 2: can't be run \(NameError: name 'boom' is not defined\)"),
        ("import sys\nsys.exit(3)\n", "Dice", r"mine\.py, line 2: can't be run \(SystemExit: 3\)"),
        ("def f(:\n", "Dice", r"mine\.py, line 1: can't be run \(SyntaxError"),
        (
            "class Dice: pass\n",
            "Dice",
            r"mine\.py: has no policy, which is a subclass of sim\.policies\.base",
        ),
        (
            "from sim.policies.base import BasePolicy\nclass Dice(BasePolicy): name = 'dice'\n",
            "Dice",
            r"mine\.py: the class Dice must be a dataclass with a name",
        ),
        (RANDOM.replace('"dice"', '"../dice"'), "Dice", r"the class Dice must .* name of letters, digits, _ and -"),
        (RANDOM.replace('"dice"', "6"), "Dice", r"the class Dice must .* name of letters, digits, _ and -"),
        (RANDOM + "    workers = ('kaas',)\n", "Dice", r"must have a tuple of sim\.domain\.WorkerKind as its workers"),
        (RANDOM + "    def describe(self): pass\n", "Dice", r"must describe itself by its name and parameters"),
        (RANDOM.replace("sides: int", "sides: str"), "Dice", r"must have parameters of the types int, float"),
        (RANDOM.replace("sides: int", "sides: 'no_type'"), "Dice", r"must have parameters of the types int, float"),
    ],
)
def test_a_file_without_the_policy_is_refused(tmp_path, code, text, complaint):
    with pytest.raises(ScenarioError, match=complaint):
        make_policy(f"{written(tmp_path, code)}:{text}")
    with pytest.raises(ScenarioError, match=r"none\.py: can't be read"):
        make_policy(f"{tmp_path}/none.py:Dice")


def test_what_a_policy_file_does_wrong_later_is_not_hidden(tmp_path, trace):
    file = written(tmp_path, RANDOM.replace("self._n))", "self.no_such_name))"))
    with pytest.raises(AttributeError, match="no_such_name"):
        simulate("run", trace, "--policy", f"{file}:Dice", "--limit", 5, "-o", tmp_path / "out")


def test_a_policy_that_ends_the_process_ends_only_its_run(tmp_path, trace):
    file = written(tmp_path, RANDOM.replace("return [Run", "raise SystemExit(0) or [Run"))
    words = ("--policy", f"{file}:Dice", "--policy", "balance", "--limit", 5, "-o", tmp_path / "out")
    assert simulate("run", trace, *words).exit_code == 1
    manifest = json.loads((tmp_path / "out/dice/manifest.json").read_text())
    assert manifest["reasons"] == ["the policy tried to end the process"]
    assert json.loads((tmp_path / "out/balance/manifest.json").read_text())["valid"]


def test_the_scenario_of_a_run_repeats_it_wherever_it_is_given(tmp_path, trace, monkeypatch):
    """A policy, a map, a catalogue and a calibration of the user's, all named relative to where he was."""
    from importlib import resources

    from sim.models.workloads.catalogue import load_catalogue, save_catalogue

    written(tmp_path, RANDOM)
    save_catalogue(list(load_catalogue("small").values())[:2], tmp_path / "two.json")
    (tmp_path / "map.csv").write_text("trigger,graph\nhttp,bert-small\n*,resnet50-small\n")
    v100 = resources.files("sim.models").joinpath("calibrations/v100-kaas.json").read_text("utf-8")
    (tmp_path / "mine.json").write_text(v100)
    monkeypatch.chdir(tmp_path)
    files = ("--catalogue", "two.json", "--map", "map.csv", "--calibration", "mine.json", "--seed", 3)
    done = simulate("run", "trace", "--policy", "mine.py:Dice[sides=4]", *files, "--gpus", 3, "-o", "a")
    assert done.exit_code == 0, done.output
    manifest = json.loads((tmp_path / "a/dice-sides=4/manifest.json").read_text())
    assert manifest["policy"] == "dice[sides=4]"
    assert manifest["scenario"]["policies"] == [f"{tmp_path}/mine.py:Dice[sides=4]"]
    roles = {entry["role"]: entry["path"] for entry in manifest["inputs"]}
    assert roles.keys() == {"trace", "catalogue", "map", "calibration", "policy"}
    assert roles["policy"] == str(tmp_path / "mine.py")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    again = simulate("run", "--scenario", tmp_path / "a/dice-sides=4/scenario.yaml", "-o", "b")
    assert again.exit_code == 0, again.output
    assert same_tables(tmp_path / "a/dice-sides=4", tmp_path / "elsewhere/b/dice-sides=4")
