"""What the pages tell a reader to type does run, and prints what the pages show."""

import re
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from itertools import pairwise

import pytest
from click.testing import CliRunner

from tests.docs.commands import MAIN, check
from tests.docs.pages import PAGES, ROOT, blocks, name
from traces.synth.azure2019 import write_azure2019

IN_PROCESS = ("simulate", "traces", "analyze")


@pytest.fixture(scope="session")
def azure2019(tmp_path_factory):
    """What the pages call ``azure2019``: two days of a few functions."""
    directory = tmp_path_factory.mktemp("data") / "azure2019"
    write_azure2019(directory, n_functions=30, minutes=2 * 1440, rate_per_s=0.2, seed=1)
    return directory


def needs_gpu(page):
    """A page that uses ``replay``: what follows from its runs can't be had here."""
    return any(words[0] == "replay" for block in blocks(page) if block.language == "bash" for words in block.commands)


def run(words, outputs):
    """Run one command in the current directory and keep what it prints."""
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), words
    elif words[0] == "python":
        done = subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout)
    elif words[0] in IN_PROCESS:
        result = CliRunner().invoke(MAIN[words[0]], words[1:])
        assert result.exit_code == 0, (words, result.output, result.exception)
        outputs.append(result.output)


@pytest.mark.parametrize("page", [p for p in PAGES if any(b.language == "bash" for b in blocks(p))], ids=name)
def test_commands_run(page, tmp_path, monkeypatch, azure2019):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(azure2019, "azure2019")
    outputs = []
    for block in blocks(page):
        if block.file:
            (tmp_path / block.file).write_text(block.text)
    for block in (b for b in blocks(page) if b.language == "bash"):
        only_checked = block.skipped or needs_gpu(page)
        for words in block.commands:
            if not only_checked:
                run(words, outputs)
            elif words[0] in MAIN:
                check(words)
    for block in blocks(page):
        if block.language == "text" and block.text.startswith(("policy ", "Invocation ")):
            assert any(block.text in output for output in outputs), f"{name(page)} shows another table: {outputs}"


def snippets():
    """Python blocks without a file name, with the text block that shows what they print, or None."""
    for page in PAGES:
        for number, (block, following) in enumerate(pairwise([*blocks(page), None])):
            if block.language == "python" and not block.file:
                shown = following.text if following and following.language == "text" else None
                yield pytest.param(block.text, shown, id=f"{name(page)}-{number}")


@pytest.mark.parametrize(("code", "shown"), [*snippets()])
def test_python_blocks_print_what_the_page_shows(code, shown, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    printed = StringIO()
    with redirect_stdout(printed):
        exec(compile(code, "<page>", "exec"), {})
    assert shown is None or printed.getvalue() == shown
