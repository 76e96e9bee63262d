"""All that a machine with a GPU can tell in nine minutes, without network.

Tests, probe, replays, a calibration by one half of them and its validation by the other half.
Steps are processes of their own: one that fails or hangs costs its own result and leaves the others theirs.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from sim.errors import OutputError
from sim.output import create, has_keys, make_directory, new_file, workshop, write_json

REPORT = "session.json"
LIMIT_S = 540.0
GRACE_S = 10.0  # for a step to end in order after its time is over

POLICIES = ("balance", "affinity", "exclusive")
HALVES = {"calibration": "00:00-00:01", "validation": "00:01-00:02"}


@dataclass(frozen=True, slots=True)
class Load:
    """What is replayed: a synthetic trace, and how much of it under which memory limit.

    rate_per_s: for executors; exclusive_scale of it for exclusive workers, who would not keep up. seed: one that
    gives every graph enough invocations, in each half.
    """

    catalogue: str
    n_functions: int
    rate_per_s: float
    exclusive_scale: float
    seconds: float
    memory_limit_bytes: int
    seed: int


ON_GPU = Load("kaas", 24, 10.0, 0.16, 20.0, 8 << 30, seed=87)
ON_CPU = Load("small", 48, 12.0, 0.25, 20.0, 40_000_000, seed=135)


@dataclass(frozen=True, slots=True)
class Step:
    """A command. output: file for what it prints, beside its log. limit_s: no longer than this."""

    name: str
    command: list[str]
    limit_s: float
    output: str | None = None


@dataclass(slots=True)
class Outcome:
    """What became of a step: exit status, None where its time was over or there was none left for it."""

    name: str
    status: int | None
    wall_s: float
    says: str = field(default="")


def plan(device: str, out: Path, load: Load) -> list[Step]:
    """The steps, in order."""
    replay, traces, analyze = map(_command, ("replay", "traces", "analysis"))
    trace, probe, calibration = out / "trace", out / "probe.json", out / "calibration.json"
    synth = ["--functions", str(load.n_functions), "--minutes", "2", "--rate", str(load.rate_per_s)]
    steps = [
        Step("probe", [*replay, "probe", "--device", device, "-o", str(probe)], 60),
        Step("trace", [*traces, "synth", *synth, "--seed", str(load.seed), "--force", "-o", str(trace)], 30),
        *(_replay(replay, device, load, out, half, policy) for half in HALVES for policy in POLICIES),
    ]
    known = [str(out / "calibration" / policy) for policy in POLICIES]
    unknown = [str(out / "validation" / policy) for policy in POLICIES]
    fit = ["calibrate", *known, "--probe", str(probe), "-o", str(calibration)]
    check = [
        "validate",
        *unknown,
        "--calibration",
        str(calibration),
        "--out",
        str(out / "simulated"),
        "--force",
        "--json",
    ]
    steps += [
        Step("calibrate", [*replay, *fit], 60),
        Step("validate", [*replay, *check], 120, "validation.json"),
        Step("table", [*analyze, "table", *known, *unknown, "--format", "csv"], 30, "runs.csv"),
    ]
    if device != "cpu":
        steps.insert(0, Step("tests", [sys.executable, "-m", "pytest", "-m", "gpu", "-q"], 120))
    return steps


def _command(package: str) -> list[str]:
    """A command of this project, whether it is installed or only in the working directory."""
    return [sys.executable, "-c", f"from {package}.cli import main; main()"]


def _replay(replay: list[str], device: str, load: Load, out: Path, half: str, policy: str) -> Step:
    scale = load.exclusive_scale if policy == "exclusive" else 1.0
    options = {
        "--policy": policy,
        "--device": device,
        "--catalogue": load.catalogue,
        "--window": HALVES[half],
        "--duration": load.seconds,
        "--rate-scale": scale,
        "--memory-limit": load.memory_limit_bytes,
        "--seed": load.seed,
        "--out": out / half / policy,
    }
    words = [str(word) for pair in options.items() for word in pair]
    return Step(f"{half}-{policy}", [*replay, "run", str(out / "trace"), *words, "--force"], 4 * load.seconds + 30)


def run_session(steps: list[Step], out: Path, tell: Callable[[str], object]) -> list[Outcome]:
    """Run the steps, at most LIMIT_S in all; writes session.json, and a log of each step into ``logs``.

    Raises OutputError when another session is at it, or ``out`` holds things but no session.
    """
    begun_s = time.monotonic()
    outcomes: list[Outcome] = []
    make_directory(out.parent)

    def report() -> None:
        found = {"steps": [asdict(outcome) for outcome in outcomes], "wall_s": time.monotonic() - begun_s}
        write_json(out / REPORT, found, _is_ours)

    with workshop(out):
        if out.is_dir() and any(out.iterdir()) and not _is_ours(out / REPORT):
            raise OutputError(f"{out}: has no {REPORT}, so it is no folder of a session; choose another one")
        make_directory(out / "logs")
        report()
        for step in steps:
            left_s = LIMIT_S - (time.monotonic() - begun_s) - GRACE_S
            limit_s = min(step.limit_s, left_s)
            outcomes.append(_run(step, out, limit_s) if left_s > 0 else Outcome(step.name, None, 0.0, "no time"))
            tell(_verdict(outcomes[-1]))
            report()
    return outcomes


def _is_ours(report: Path) -> bool:
    return has_keys(report, "steps", "wall_s")


def _verdict(outcome: Outcome) -> str:
    verdict = "ok" if outcome.status == 0 else "out of time" if outcome.status is None else f"exit {outcome.status}"
    return f"{outcome.name:24} {outcome.wall_s:6.1f} s  {verdict}  {outcome.says if outcome.status else ''}".rstrip()


def _run(step: Step, out: Path, limit_s: float) -> Outcome:
    begun_s = time.monotonic()
    with TemporaryFile() as printed, TemporaryFile() as said:
        process = subprocess.Popen(step.command, stdin=subprocess.DEVNULL, stdout=printed, stderr=said)
        try:
            status: int | None = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            status = None
            process.send_signal(signal.SIGINT)
        finally:
            _end(process)
        result, log = _content(printed), _content(said)
    if step.output:
        _replace(out / step.output, result)
        result = b""
    _replace(out / "logs" / f"{step.name}.txt", result + log)
    lines = (result + log).decode("utf-8", errors="replace").strip().splitlines()
    return Outcome(step.name, status, time.monotonic() - begun_s, lines[-1] if lines else "")


def _content(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _replace(file: Path, content: bytes) -> None:
    """Write a file of the session's folder, whatever was there of an earlier one."""
    with new_file(file, lambda _: True) as part, create(part) as written:
        written.write(content)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait for the end of a process that was told to end; kill it when it doesn't."""
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
