"""What docs/commands.md says of shells: exit codes and completion."""

from __future__ import annotations

import shutil
import signal

import pytest
from click.testing import CliRunner

from sim.errors import ProjectError
from sim.terminal.signals import Stop
from tests.docs.commands import MAIN
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "commands.md").read_text("utf-8")


@pytest.mark.parametrize("command", MAIN)
@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (ProjectError("no such thing"), 2, "Error: no such thing\n"),
        (Stop(signal.SIGINT), 130, ""),
        (Stop(signal.SIGTERM), 143, ""),
    ],
)
def test_what_ends_a_command_gives_its_exit_code(command, raised, code, said, monkeypatch):
    name, subcommand = next(iter(MAIN[command].commands.items()))

    def end(**_):
        raise raised

    monkeypatch.setattr(subcommand, "callback", end)
    monkeypatch.setattr(subcommand, "params", [])
    result = CliRunner().invoke(MAIN[command], [name])
    assert (result.exit_code, result.stderr) == (code, said)
    assert f"\n| {code} | " in PAGE


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("command", MAIN)
def test_every_command_completes_in_every_shell(command, shell, monkeypatch, capsys):
    if shell == "bash" and not shutil.which("bash"):
        pytest.skip("no bash, whose version click looks at")
    variable = f"_{command.upper()}_COMPLETE"
    assert variable in PAGE
    monkeypatch.setenv(variable, f"{shell}_source")
    with pytest.raises(SystemExit) as ended:
        MAIN[command].main([], prog_name=command)
    assert ended.value.code == 0
    assert variable in capsys.readouterr().out


def test_subcommands_are_completed(monkeypatch, capsys):
    monkeypatch.setenv("_SIMULATE_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "simulate ru")
    monkeypatch.setenv("COMP_CWORD", "1")
    with pytest.raises(SystemExit):
        MAIN["simulate"].main([], prog_name="simulate")
    assert capsys.readouterr().out == "plain,run\n"
