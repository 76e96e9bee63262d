"""Steps of a session: each a process of its own, with its log, and after each one all results in a few files.

A step that fails or hangs costs its own result and leaves the others theirs. Whenever the machine goes away, what was
done before is in the folder: it is replaced whole after every step, and another session can go on from it.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import tarfile
import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from sim.errors import OutputError
from sim.files.output import create, has_keys, make_directory, new_file, remove, scratch, workshop, write_json

ROOT = Path(__file__).parents[1]  # of this project, installed or not
REPORT, ARCHIVE, PAGE = "gpu.json", "gpu.tar.gz", "gpu.png"
LIMIT_S = 540.0
KEPT_S = 75.0  # of it, for the steps that make something of what others measured
GRACE_S = 10.0  # for a step to end in order after its time is over
DRAW = "from analysis.figures.session import main; main()"


@dataclass(frozen=True, slots=True)
class Step:
    """A command, run in the folder of the working files.

    output: file there for what it prints, beside its log. limit_s: no longer than this. closes: it may use the time
    that is kept. draws: the page of figures changes by it. lacks: why it can't be run; empty when it can.
    """

    name: str
    command: list[str]
    limit_s: float
    output: str | None = None
    closes: bool = False
    draws: bool = False
    lacks: str = ""


@dataclass(slots=True)
class StepOutcome:
    """What became of a step: exit status, None where its time was over or it could not be run."""

    name: str
    status: int | None
    wall_s: float
    says: str = field(default="")


def run_session(
    plan: Callable[[Path], Iterable[Step]], out: Path, tell: Callable[[str], object], *, resume: bool = False
) -> list[StepOutcome]:
    """Run steps, at most LIMIT_S in all. plan: makes them; called with the folder of the working files, still empty.

    Into ``out`` go, after every step, REPORT, ARCHIVE with all working files, and PAGE once there is a run. resume: go
    on from those of an earlier session, whose steps that ended well are done; what closes a session is done anew.
    Raises OutputError when another session is at it, or something there is in the way.
    """
    begun_s = time.monotonic()
    outcomes: list[StepOutcome] = []
    make_directory(out)
    with workshop(out), scratch() as place:
        work = place / "gpu"
        make_directory(work)
        earlier = _unpack(out, place) if resume else {}
        if not earlier:
            _clear(out)
        for step in plan(work):
            if step.name in earlier and not step.closes:
                outcomes.append(earlier[step.name])
                continue
            left_s = LIMIT_S - (time.monotonic() - begun_s) - GRACE_S - (0.0 if step.closes else KEPT_S)
            outcomes.append(_outcome(step, work, min(step.limit_s, left_s)))
            tell(_verdict(outcomes[-1]))
            if step.draws:
                _run(Step("page", [sys.executable, "-c", DRAW, PAGE], 30), work, 30)
            _publish(work, out, outcomes, time.monotonic() - begun_s)
    return outcomes


def _clear(out: Path) -> None:
    """Remove what an earlier session left. Raises OutputError when files of such names are of no session."""
    there = [out / name for name in (ARCHIVE, PAGE, REPORT) if (out / name).exists()]
    if there and not _is_ours(out / REPORT):
        raise OutputError(f"{there[0]}: is there already, and is of no session; choose another folder")
    for file in there:
        remove(file)


def _unpack(out: Path, place: Path) -> dict[str, StepOutcome]:
    """The working files of an earlier session, and the steps of it that ended well; nothing where there is none."""
    if not (_is_ours(out / REPORT) and (out / ARCHIVE).exists()):
        return {}
    try:
        with tarfile.open(out / ARCHIVE, "r:gz") as archive:
            archive.extractall(place, filter="data")
    except (tarfile.TarError, zlib.error, EOFError, OSError) as damaged:
        raise OutputError(f"{out / ARCHIVE}: can't be unpacked ({damaged}); begin without --resume") from None
    remove(place / "gpu" / REPORT)
    outcomes = [StepOutcome(**step) for step in json.loads((out / REPORT).read_text("utf-8"))["steps"]]
    return {outcome.name: outcome for outcome in outcomes if outcome.status == 0}


def _is_ours(report: Path) -> bool:
    return has_keys(report, "steps", "wall_s")


def _publish(work: Path, out: Path, outcomes: list[StepOutcome], wall_s: float) -> None:
    """Replace the files of a session, each whole."""
    report: dict[str, Any] = {
        "steps": [asdict(outcome) for outcome in outcomes],
        "wall_s": wall_s,
        "python": platform.python_version(),
        "results": {
            str(file.relative_to(work)): _json(file) for file in sorted(work.rglob("*.json")) if _is_result(file)
        },
    }
    write_json(out / REPORT, report, _is_ours)
    with new_file(out / ARCHIVE, lambda _: True) as part, tarfile.open(part, "x:gz", compresslevel=6) as archive:
        archive.add(work, "gpu")
        archive.add(out / REPORT, f"gpu/{REPORT}")
    if (work / PAGE).exists():
        _replace(out / PAGE, (work / PAGE).read_bytes())


def _is_result(file: Path) -> bool:
    """Whether a file is one that a step wrote itself, rather than a part of a run."""
    return not (file.parent / "manifest.json").exists() and "trace" not in file.parts


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text("utf-8"))
    except ValueError:  # of a step that was cut
        return None


def _outcome(step: Step, work: Path, limit_s: float) -> StepOutcome:
    if step.lacks:
        return StepOutcome(step.name, None, 0.0, step.lacks)
    if limit_s <= 0:
        return StepOutcome(step.name, None, 0.0, "no time was left")
    return _run(step, work, limit_s)


def _verdict(outcome: StepOutcome) -> str:
    verdict = "not done" if outcome.status is None else f"exit {outcome.status}" if outcome.status else "ok"
    says = outcome.says if outcome.status != 0 else ""
    return f"{outcome.name:26} {outcome.wall_s:6.1f} s  {verdict}  {says}".rstrip()


def _run(step: Step, work: Path, limit_s: float) -> StepOutcome:
    begun_s = time.monotonic()
    is_over = False
    with TemporaryFile() as printed, TemporaryFile() as said:
        process = subprocess.Popen(
            step.command, stdin=subprocess.DEVNULL, stdout=printed, stderr=said, cwd=work, env=_environment()
        )
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            is_over = True
            process.send_signal(signal.SIGINT)
        finally:
            _end(process)
        result, log = _content(printed), _content(said)
    if step.output:
        _replace(work / step.output, result)
        result = b""
    _replace(work / "logs" / f"{step.name.replace('/', '-')}.txt", result + log)
    lines = (result + log).decode("utf-8", errors="replace").strip().splitlines()
    last = lines[-1] if lines else ""
    if is_over:
        return StepOutcome(step.name, None, time.monotonic() - begun_s, f"its {limit_s:.0f} s were over; {last}")
    return StepOutcome(step.name, process.returncode, time.monotonic() - begun_s, last)


def _environment() -> dict[str, str]:
    """That of this process; the project is found from the folder of the working files too."""
    before = os.environ.get("PYTHONPATH", "")
    paths = [str(ROOT), *(os.path.abspath(path) for path in before.split(os.pathsep) if path)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _content(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _replace(file: Path, content: bytes) -> None:
    """Write a file of the session, whatever was there of an earlier step."""
    make_directory(file.parent)
    with new_file(file, lambda _: True) as part, create(part) as written:
        written.write(content)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait for the end of a process that was told to end; kill it when it doesn't."""
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
