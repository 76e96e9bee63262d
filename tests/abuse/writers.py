"""Commands that write, what they write onto, and how to tell what is there: for kills, races and bad disks."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sim.errors import ProjectError
from sim.files.output import PREFIX
from sim.records.results import open_run

MAIN = "import sys; from {package}.cli import main; main(sys.argv[1:])"


def start(
    words: Sequence[object], cwd: Path | None = None, before: Callable[[], None] | None = None
) -> subprocess.Popen:
    """A command of the project in a process of its own."""
    package, *rest = map(str, words)
    code = MAIN.format(package={"simulate": "sim", "analyze": "analysis"}.get(package, package))
    pipe = subprocess.PIPE
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", f"sys_path = {str(root)!r}; import sys; sys.path.insert(0, sys_path); {code}", *rest],
        stdout=pipe, stderr=pipe, text=True, cwd=cwd, preexec_fn=before,
    )  # fmt: skip


def call(*words: object) -> str:
    """Run a command that must succeed."""
    process = start(words)
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    return output


def is_one_sentence(errors: str) -> bool:
    return errors.startswith("Error: ") and errors.count("\n") == 1


def left(directory: Path) -> list[Path]:
    """Hidden directories of the project."""
    return [path for path in directory.rglob(f"{PREFIX}*") if path.is_dir()]


@dataclass(frozen=True)
class Writer:
    """A command that writes ``target``. words: of it, with a number that makes it write something else."""

    name: str
    target: Path
    words: Callable[[int], Sequence[object]]

    def state(self) -> str:
        """What is there: nothing, a whole thing by its content, or a broken one."""
        if not self.target.exists():
            return "nothing"
        if self.name == "run":
            try:
                run = open_run(self.target)
                rows = len(run.table("invocations"))
            except ProjectError as error:
                return f"broken: {error}"
            assert rows == run.summary["invocations"]
            whole = "whole" if run.manifest["valid"] else "interrupted"
            return f"{whole}: seed {run.manifest['scenario']['seed']}"
        digest = hashlib.sha256()
        for file in sorted(self.target.iterdir()) if self.target.is_dir() else [self.target]:
            if not file.name.startswith("."):
                digest.update(file.name.encode() + file.read_bytes())
        return digest.hexdigest()


def writers(place: Path) -> list[Writer]:
    """One of each kind, in a directory where ``prepare`` was called."""
    trace, runs = place / "trace", place / "runs"
    run = ("--quiet", "--policy", "balance", "--window", "00:00-00:04")
    tiny = ("--functions", 30, "--minutes", 5, "--rate", 300)
    return [
        Writer("run", runs / "out/balance",
               lambda n: ("simulate", "run", trace, *run, "--seed", n, "--force", "-o", runs / "out")),
        Writer("convert", place / "out.parquet",
               lambda n: ("traces", "convert", trace, "--seed", n, "--force", "-o", place / "out.parquet")),
        Writer("synth", place / "synth",
               lambda n: ("traces", "synth", *tiny, "--seed", n, "--force", "-o", place / "synth")),
        Writer("sample", place / "sample.parquet",
               lambda n: ("traces", "sample", trace, "--functions", 5, "--seed", n, "--force", "-o",
                          place / "sample.parquet")),
        Writer("plot", place / "figures",
               lambda n: ("analyze", "plot", runs / f"given{n}", "-o", place / "figures")),
    ]  # fmt: skip


def prepare(place: Path) -> None:
    """What the writers read: a trace, and runs with the seeds 1 and 2."""
    call("traces", "synth", "--functions", 30, "--minutes", 5, "--rate", 100, "-o", place / "trace")
    for seed in (1, 2):
        call("simulate", "run", place / "trace", "--policy", "balance", "--limit", 2000, "--seed", seed, "-o",
             place / "runs" / f"given{seed}")  # fmt: skip
