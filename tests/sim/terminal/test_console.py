"""What all commands do with options, and with modules that hide ours."""

from __future__ import annotations

import os
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from sim.terminal.console import ProjectCommand
from tests.docs.commands import MAIN
from tests.house.imports import ROOT


def commands(command, names):
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from commands(below, [*names, name])
    else:
        yield pytest.param(command, id=" ".join(names))


ALL = [p for name, main in MAIN.items() for p in commands(main, [name])]


@pytest.mark.parametrize("command", ALL)
def test_every_command_has_one_spelling_and_refuses_an_option_twice(command):
    assert isinstance(command, ProjectCommand)
    spelled = {option for p in command.params for option in p.opts}
    assert ("-o" in spelled) is ("--out" in spelled)
    assert "--output" not in spelled


@pytest.mark.parametrize(
    ("command", "arguments", "complaint"),
    [
        ("simulate", ["run", "t", "--policy", "balance", "--gpus", "4", "--gpus", "8"], "--gpus is given 2 times"),
        ("simulate", ["run", "t", "--seed=1", "--seed", "1", "--seed", "2"], "--seed is given 3 times"),
        ("simulate", ["load", "nshot", "--graph", "a", "--graph", "b"], "--graph is given 2 times"),
        ("simulate", ["reproduce", "kaas", "-o", "a", "--out", "b"], "--out is given 2 times"),
        ("replay", ["run", "t", "--policy", "balance", "--policy", "affinity"], "--policy is given 2 times"),
        ("traces", ["synth", "-o", "a", "-o", "b"], "--out is given 2 times"),
        ("analyze", ["table", "a", "--format", "csv", "--format", "latex"], "--format is given 2 times"),
    ],
)
def test_a_second_value_is_refused_in_one_sentence(command, arguments, complaint):
    done = CliRunner().invoke(MAIN[command], arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == f"Error: {complaint}, must be given once\n"


def test_flags_and_repeatable_options_may_come_again(tmp_path):
    flags = ["--policy", "balance", "--policy", "affinity", "--json", "--json"]
    done = CliRunner().invoke(MAIN["simulate"], ["run", str(tmp_path / "none"), *flags])
    assert "none" in done.stderr
    assert "times" not in done.stderr


@pytest.mark.parametrize("hides", ["analysis.py", "traces.py", "analysis/__init__.py"])
def test_a_module_that_hides_ours_is_named_before_anything_is_run(tmp_path, hides):
    (tmp_path / hides).parent.mkdir(exist_ok=True)
    (tmp_path / hides).write_text("")
    (tmp_path / "study.py").write_text("from sim.cli import main\nmain()\n")
    words = [sys.executable, "study.py", "run", "no-such-trace", "--policy", "balance", "-o", "out"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
    package = hides.removesuffix(".py").partition("/")[0]
    rule = f"hides the package {package} of this project; rename it, or run from elsewhere"
    assert (done.returncode, done.stderr) == (2, f"Error: {tmp_path / hides}: {rule}\n")
    assert not (tmp_path / "out").exists()
