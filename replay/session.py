"""All that a machine with a GPU can tell in nine minutes, without network: which steps, and what each is for.

Probe, tests, a first replay of each scene that tells how much a device can do, replays at a load in the middle, single
questions, a calibration by these replays, its validation by others at lower and higher loads, and with the time that is
left what gets better by it: cold starts, and repeats of what validates. ``replay.steps`` runs them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from replay.fleet.modes import SHARING
from replay.steps import ROOT, Step
from sim.errors import ProjectError
from sim.models.startup import Ladder
from sim.records.results import open_run

HALVES = {"calibration": "00:00-00:01", "validation": "00:01-00:02"}
Loads = Mapping[str, Sequence[float]]  # by half, of what one device can do
LOADS: Loads = {"calibration": (0.6,), "validation": (0.3, 0.9)}  # some queues; hardly one, and long ones
STARTED: Loads = {"calibration": (0.9,), "validation": (0.6,)}  # where starts are what counts: many, and enough
PARTS_LOAD = 0.3  # where functions have parts of the device, of what the whole can do
SERVICE_S = 5.0  # in which the arrivals of a first replay come, whatever the device makes of them
READY_S = 5.0  # that a replay takes beside its arrivals, at least
ROUND_S = 30.0  # that a round of cold starts takes, at least
STARTS_S = 60.0  # in which cold starts are begun, where so much is left
REPEATS = 3  # of each replay that validates, so that its spread is known
SPARE_S = 60.0  # that must be left after whatever the session can do without
LIBRARY = "cublas"  # catalogue of graphs with products by a library
MOST_PER_S = 200.0  # arrivals: what one driver issues in time


@dataclass(frozen=True, slots=True)
class Scene:
    """What is replayed at several loads under one policy.

    trace: of ``SessionLoad.n_functions``. n_service: arrivals of the first replay. seconds: of each other replay.
    loads: of the halves. They differ, so that the simulator is asked what it was not told.
    """

    policy: str
    trace: str
    n_service: int
    seconds: float
    loads: Loads = field(default_factory=lambda: LOADS)


@dataclass(frozen=True, slots=True)
class SessionLoad:
    """What a session replays: synthetic traces, at rates that the device decides, under one memory limit.

    n_functions: by trace. The constants of the first fit into the memory, those of the other don't.
    rate_per_s: of the traces themselves, the most that is replayed. seed: one that gives every graph enough
    invocations, in each half.
    """

    catalogue: str
    n_functions: dict[str, int]
    scenes: dict[str, Scene]
    memory_limit_bytes: int
    seed: int
    rate_per_s: float = MOST_PER_S


def _scenes(fits: Scene, overfull: Scene, exclusive: Scene) -> dict[str, Scene]:
    """All in memory, so that requests queue for kernels alone; more than fits, so that constants are evicted and
    loaded again; and a process for each function, so that each is killed for the next one, which starts cold."""
    return {"fits": fits, "overfull": overfull, "exclusive": exclusive}


ON_GPU = SessionLoad(
    "kaas",
    {"few": 4, "many": 24},
    _scenes(
        Scene("balance", "few", 200, 8),
        Scene("affinity", "many", 100, 8),
        Scene("exclusive", "many", 12, 25, STARTED),
    ),
    8 << 30,
    87,
)
ON_CPU = SessionLoad(
    "small",
    {"few": 8, "many": 48},
    _scenes(
        Scene("balance", "few", 200, 6),
        Scene("affinity", "many", 200, 6),
        Scene("exclusive", "many", 40, 10, STARTED),
    ),
    24_000_000,
    1,
)


def plan(device: str, load: SessionLoad, work: Path, left_s: Callable[[], float]) -> Iterator[Step]:
    """The steps, what can be spared least first; each is made when those before it have ended.

    work: where they run, see ``Step``. left_s: how much time is left for steps that don't close the session.
    """
    replay, traces, analyze = map(_command, ("replay", "traces", "analysis"))
    yield Step("probe", [*replay, "probe", "--device", device, "-o", "probe.json"], 60)
    yield _trial(device, load, "libraries", 40)
    if device != "cpu":
        yield _tests()
    for trace, n in load.n_functions.items():
        synth = ["--functions", n, "--minutes", 2, "--rate", load.rate_per_s, "--seed", load.seed]
        even = ["--arrivals", "poisson"]  # so that a load is what it is called, also over a few seconds
        yield Step(f"trace/{trace}", [*traces, "synth", *map(str, synth), *even, "-o", f"trace/{trace}"], 30)
    service_s = {}
    for name, scene in load.scenes.items():
        scale = scene.n_service / (SERVICE_S * load.rate_per_s)
        yield _replay(device, load, scene, f"service/{name}", HALVES["calibration"], SERVICE_S, scale)
        service_s[name] = measure_service_s(work / "service" / name)
    yield from _half(device, load, "calibration", service_s)
    yield _trial(device, load, "kernels", 60)
    if device != "cpu":
        yield _trial(device, replace(load, catalogue=LIBRARY), "kernels/library", 60)
    for mode in ("static",) if device == "cpu" else SHARING:
        yield _trial(device, load, f"neighbours/{mode}", 90, "--mode", mode)
    yield _trial(device, load, "copies", 40)
    known = [*_runs(work, "service"), *_runs(work, "calibration")]
    fit = [*replay, "calibrate", *known, "--probe", "probe.json", "-o", "calibration.json"]
    lacks = "" if known else "there is no run to calibrate by"
    yield Step("calibrate", fit, 60, closes=True, draws=True, lacks=lacks)
    firsts = {step.name: step for step in _half(device, load, "validation", service_s)}
    yield from firsts.values()
    seconds = min(max(left_s() - SPARE_S, 0.0), STARTS_S)
    starts = _trial(device, load, "starts", seconds + 60, "--seconds", f"{seconds:.0f}")
    yield replace(starts, least_s=max(seconds, ROUND_S))
    for number in range(2, REPEATS + 1):
        for name, step in zip(firsts, _half(device, load, "validation", service_s, number), strict=True):
            if (work / name).exists() and left_s() > SPARE_S + step.least_s:
                yield step
    missing = "" if (work / "calibration.json").exists() else "there is no calibration"
    for first in _runs(work, "validation"):
        name = Path(first).name
        runs = [first, *(run for run in _runs(work, "repeats") if Path(run).name.rpartition("-")[0] == name)]
        check = ["validate", *runs, "--calibration", "calibration.json", "--out", "simulated", "--force", "--json"]
        yield Step(f"validate/{name}", [*replay, *check], 60, f"{first}.errors.json", closes=True, lacks=missing)
    runs = [run for folder in ("service", *HALVES, "repeats") for run in _runs(work, folder)]
    table = [*analyze, "table", *runs, "--format", "csv"]
    yield Step("table", table, 30, "runs.csv", closes=True, draws=True, lacks="" if runs else "there is no run")


def _half(
    device: str, load: SessionLoad, half: str, service_s: Mapping[str, float | None], number: int = 1
) -> Iterator[Step]:
    """The replays of a half, those at the least loads first; in the second one also of functions that share the device,
    in the modes that give them parts of it. number: of the repeat, from 1."""
    scenes = load.scenes

    def at_load(scene: str, part: float, kind: str, policy: str) -> Step:
        kind, each_s = f"{kind}-{100 * part:.0f}", service_s[scene]
        name = f"{half}/{kind}" if number == 1 else f"repeats/{kind}-{number}"
        if each_s is None:
            return Step(name, [], 0, lacks=f"how long an invocation takes is not known: see service/{scene}")
        scale = min(part / each_s / load.rate_per_s, 1.0)
        shown = replace(scenes[scene], policy=policy)
        return _replay(device, load, shown, name, HALVES[half], shown.seconds, scale)

    for scene, part in _by_load(scenes, half):
        yield at_load(scene, part, scene, scenes[scene].policy)
    for mode in SHARING if half == "validation" and device != "cpu" else ():
        step = at_load("fits", PARTS_LOAD, mode, "fractional")
        command = [*_command("replay", mode == "fractional"), *step.command[3:], "--mode", mode]
        yield step if step.lacks else replace(step, command=command)


def _trial(device: str, load: SessionLoad, name: str, limit_s: float, *words: object) -> Step:
    """A question of ``replay.trials``; name: its own, and after a slash what tells it from others."""
    options = ["--device", device, "--catalogue", load.catalogue, "--memory-limit", load.memory_limit_bytes, *words]
    file = f"{name.replace('/', '-')}.json"
    command = [*_command("replay"), "measure", name.partition("/")[0], *map(str, options), "-o", file]
    return Step(name, command, limit_s)


def measure_service_s(directory: Path) -> float | None:
    """Seconds for which an invocation of a run kept its device, cold starts included; None when nothing tells."""
    try:
        run = open_run(directory)
        rows = run.table("invocations", ["status", "started_at_s", "completed_at_s"])
        starts_s = run.table("workers", [f"{stage}_s" for stage in Ladder._fields if stage != "first_run"]).sum().sum()
    except ProjectError:
        return None
    done = rows[rows["status"] == "completed"]
    if done.empty:
        return None
    return float((starts_s + (done["completed_at_s"] - done["started_at_s"]).sum()) / len(done))


def _tests() -> Step:
    """Those that need a GPU. What else a machine has in its Python may warn: that fails none of them."""
    where = ["-c", str(ROOT / "setup.cfg"), "--rootdir", str(ROOT), "-p", "no:cacheprovider", str(ROOT / "tests")]
    missing = "" if (ROOT / "tests").is_dir() else f"there are no tests in {ROOT}"
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-rs", "-W", "default", *where]
    return Step("tests", command, 100, lacks=missing)


def _command(package: str, with_mps: bool = False) -> list[str]:
    """A command of this project, whether it is installed or not. with_mps: beside a daemon of MPS."""
    start = f"from {package}.cli import main; main()"
    if with_mps:
        start = f"from replay.device.mps import running\nwith running():\n    {start}"
    return [sys.executable, "-c", start]


def _by_load(scenes: Mapping[str, Scene], half: str) -> list[tuple[str, float]]:
    """Scenes and their loads, the least loads first: whenever the time is over, each scene has been."""
    pairs = [(name, part) for name, scene in scenes.items() for part in scene.loads[half]]
    return sorted(pairs, key=lambda pair: pair[1])


def _replay(device: str, load: SessionLoad, scene: Scene, name: str, window: str, seconds: float, scale: float) -> Step:
    options = {
        "--policy": scene.policy,
        "--device": device,
        "--catalogue": load.catalogue,
        "--window": window,
        "--duration": seconds,
        "--rate-scale": f"{scale:.4g}",
        "--memory-limit": load.memory_limit_bytes,
        "--seed": load.seed,
        "--out": name,
    }
    words = [str(word) for pair in options.items() for word in pair]
    command = [*_command("replay"), "run", f"trace/{scene.trace}", *words, "--force"]
    return Step(name, command, 4 * seconds + 60, least_s=seconds + READY_S)


def _runs(work: Path, folder: str) -> Sequence[str]:
    """The runs that there are in a folder."""
    return sorted(str(file.parent.relative_to(work)) for file in (work / folder).glob("*/manifest.json"))
