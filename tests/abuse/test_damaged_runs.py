"""Run directories with flipped bits, cut, emptied, deleted and exchanged files: ``analyze`` tells it in one sentence.

A longer search: ``python -m tests.abuse.test_damaged_runs SECONDS SEED``.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from click.testing import CliRunner

from analysis.cli import main as analyze
from sim.experiment import run_scenario
from sim.scenario import read_scenario

N_DAMAGES = 100


def a_run(directory: Path) -> Path:
    """A small run with all its files."""
    load = {"name": "poisson[rate=50,duration=20]", "graph": "resnet50", "clients": 3}
    scenario = read_scenario(None, {"policies": ["affinity"], "load": load})
    (path,) = run_scenario(scenario, directory)
    return path


def damage(path: Path, rng: np.random.Generator) -> str:
    """Do something to one file of a run; says what."""
    files = sorted(path.iterdir())
    file = files[rng.integers(len(files))]
    content = bytearray(file.read_bytes())
    kind = ("flip", "cut", "empty", "delete", "insert", "swap")[rng.choice(6, p=[0.5, 0.15, 0.05, 0.1, 0.1, 0.1])]
    at = int(rng.integers(len(content)))
    if kind == "flip":
        content[at] ^= 1 << int(rng.integers(8))
    elif kind == "cut":
        del content[at:]
    elif kind == "empty":
        content.clear()
    elif kind == "insert":
        content[at:at] = rng.bytes(int(rng.integers(1, 40)))
    elif kind == "swap":
        content = bytearray(files[rng.integers(len(files))].read_bytes())
    if kind == "delete":
        file.unlink()
    else:
        file.write_bytes(content)
    return f"{kind} {file.name} at {at}"


def is_other(file: Path, was: Path) -> bool:
    """Whether a file differs from what it was, for a manifest in more than blanks."""
    if not file.exists():
        return True
    try:
        if file.name == "manifest.json":
            return json.loads(file.read_bytes()) != json.loads(was.read_bytes())
    except ValueError:
        pass
    return file.read_bytes() != was.read_bytes()


def outcome(path: Path, out: Path, *flags: str) -> tuple[str, str]:
    """What the commands do with a run, all but the drawing: printed, refused or broken; and what they say."""
    said = []
    for words in (["table"], ["table", "--format", "csv"], ["plot", "-o", str(out)], ["report", "-o", f"{out}.html"]):
        with patch("analysis.figures.runs.draw", lambda curves, place, width_in: [repr(curves)]):
            result = CliRunner().invoke(analyze, [*words, *flags, str(path)])
        said.append(result.stdout)
        if result.exit_code == 2 and result.stderr.startswith("Error: ") and result.stderr.count("\n") == 1:
            return "refused", result.stderr
        if result.exit_code != 0:
            return "broken", repr(result.exception) + result.stderr
    return "printed", "".join(said)


def run(seconds: float, seed: int, n: int | None = None) -> Counter[str]:
    """Damage a run again and again; counts of (verified or not, outcome). Raises AssertionError at a failure."""
    counts: Counter[str] = Counter()
    rng = np.random.default_rng(seed)
    until_s = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as name:
        whole = a_run(Path(name) / "runs")
        kind, truth = outcome(whole, Path(name) / "figures")
        assert kind == "printed", truth
        while sum(counts.values()) < (n or sys.maxsize) and time.monotonic() < until_s:
            victim = Path(name) / "victim" / "runs" / whole.name
            shutil.rmtree(victim, ignore_errors=True)
            shutil.copytree(whole, victim)
            what = damage(victim, rng)
            is_damaged = any(is_other(victim / file.name, file) for file in whole.iterdir())
            kind, said = outcome(victim, Path(name) / "figures")
            counts[f"verified: {kind}"] += 1
            assert kind == ("refused" if is_damaged else "printed"), f"{what}: {said[:300]}"
            kind, said = outcome(victim, Path(name) / "figures", "--no-verify")
            counts[f"--no-verify: {kind}"] += 1
            assert kind != "broken", f"{what}: {said[:300]}"
    return counts


@pytest.mark.filterwarnings("ignore")
def test_damage_is_told():
    counts = run(60.0, seed=1, n=N_DAMAGES)
    print(dict(counts))
    assert counts["verified: refused"] > 40


def test_what_is_no_file_is_not_waited_for(tmp_path):
    whole = a_run(tmp_path / "runs")
    for file in sorted(whole.iterdir()):
        kept = file.read_bytes()
        file.unlink()
        os.mkfifo(file)
        kind, said = outcome(whole, tmp_path / "figures")
        assert (kind, file.name in said) == ("refused", True), said
        assert outcome(whole, tmp_path / "figures", "--no-verify")[0] != "broken"
        file.unlink()
        file.write_bytes(kept)


def test_a_manifest_without_end_is_told(tmp_path):
    whole = a_run(tmp_path / "runs")
    (whole / "manifest.json").write_text('{"a":' * 3_000)
    assert outcome(whole, tmp_path / "figures")[0] == "refused"


if __name__ == "__main__":
    print(dict(run(float(sys.argv[1]), int(sys.argv[2]))))
