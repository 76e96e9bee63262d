"""All that a machine with a GPU can tell in nine minutes, without network: which steps, and what each is for.

Probe, tests, a first replay of each scene that tells how much a device can do, replays at three loads of that, single
questions, a calibration by one half of the replays and its validation by the other half. ``replay.steps`` runs them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from replay.fleet.modes import SHARING
from replay.steps import ROOT, Step
from sim.errors import ProjectError
from sim.models.startup import Ladder
from sim.records.results import open_run

LOADS = (0.3, 0.6, 0.9)  # of what one device can do: hardly a queue, some, and long ones
HALVES = {"calibration": "00:00-00:01", "validation": "00:01-00:02"}
PARTS_LOAD = 0.3  # where functions have parts of the device, of what the whole can do
STARTS_S = 30.0  # in which cold starts are begun
SERVICE_S = 5.0  # in which the arrivals of a first replay come, whatever the device makes of them
MOST_PER_S = 200.0  # arrivals: what one driver issues in time


@dataclass(frozen=True, slots=True)
class Scene:
    """What is replayed at several loads under one policy.

    trace: of ``SessionLoad.n_functions``. n_service: arrivals of the first replay. seconds: of each other replay.
    loads: of LOADS; the least is left out where an invocation takes so long that hardly one would come.
    """

    policy: str
    trace: str
    n_service: int
    seconds: float
    loads: tuple[float, ...] = LOADS


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
        Scene("balance", "few", 200, 5),
        Scene("affinity", "many", 100, 5),
        Scene("exclusive", "many", 12, 25, LOADS[1:]),
    ),
    8 << 30,
    87,
)
ON_CPU = SessionLoad(
    "small",
    {"few": 8, "many": 48},
    _scenes(Scene("balance", "few", 200, 6), Scene("affinity", "many", 200, 6), Scene("exclusive", "many", 40, 10)),
    24_000_000,
    1,
)


def plan(device: str, load: SessionLoad, work: Path) -> Iterator[Step]:
    """The steps, in order; each is made when those before it have ended. work: where they run, see ``Step``."""
    replay, traces, analyze = map(_command, ("replay", "traces", "analysis"))
    yield Step("probe", [*replay, "probe", "--device", device, "-o", "probe.json"], 60)
    yield _trial(device, load, "libraries", 40)
    if device != "cpu":
        yield _tests()
    yield _trial(device, load, "starts", STARTS_S + 60, "--seconds", STARTS_S)
    synth = ["--functions", load.n_functions, "--minutes", 2, "--rate", load.rate_per_s, "--seed", load.seed]
    even = ["--arrivals", "poisson"]  # so that a load is what it is called, also over a few seconds
    for trace, n in load.n_functions.items():
        synth = ["--functions", n, "--minutes", 2, "--rate", load.rate_per_s, "--seed", load.seed]
        even = ["--arrivals", "poisson"]  # so that a load is what it is called, also over a few seconds
        yield Step(f"trace/{trace}", [*traces, "synth", *map(str, synth), *even, "-o", f"trace/{trace}"], 30)
    service_s = {}
    for name, scene in load.scenes.items():
        scale = scene.n_service / (SERVICE_S * load.rate_per_s)
        yield _replay(device, load, scene, f"service/{name}", "00:00-00:01", SERVICE_S, scale)
        service_s[name] = measure_service_s(work / "service" / name)
    for half, window in HALVES.items():
        for scene_name, part in _by_load(load.scenes):
            scene, each_s = load.scenes[scene_name], service_s[scene_name]
            name = f"{half}/{scene_name}-{100 * part:.0f}"
            if each_s is None:
                lacks = f"how long an invocation takes is not known: see service/{scene_name}"
                yield Step(name, [], 0, lacks=lacks)
                continue
            scale = min(part / each_s / load.rate_per_s, 1.0)
            yield _replay(device, load, scene, name, window, scene.seconds, scale)
        if half == "calibration":
            yield _trial(device, load, "kernels", 60)
            for mode in ("static",) if device == "cpu" else SHARING:
                yield _trial(device, load, f"neighbours/{mode}", 90, "--mode", mode)
            yield _trial(device, load, "copies", 40)
            known = _runs(work, half)
            fit = [*replay, "calibrate", *known, "--probe", "probe.json", "-o", "calibration.json"]
            yield Step("calibrate", fit, 60, closes=True, lacks="" if known else "there is no run to calibrate by")
    if device != "cpu":
        yield from _parts(device, load, service_s["fits"])
    missing = "" if (work / "calibration.json").exists() else "there is no calibration"
    for run in _runs(work, "validation"):
        check = ["validate", run, "--calibration", "calibration.json", "--out", "simulated", "--force", "--json"]
        name, errors = f"validate/{Path(run).name}", f"{run}.errors.json"
        yield Step(name, [*replay, *check], 60, errors, closes=True, lacks=missing)
    runs = [run for half in ("service", *HALVES) for run in _runs(work, half)]
    table = [*analyze, "table", *runs, "--format", "csv"]
    yield Step("table", table, 30, "runs.csv", closes=True, draws=True, lacks="" if runs else "there is no run")


def _parts(device: str, load: SessionLoad, each_s: float | None) -> Iterator[Step]:
    """Replays of functions that share the device, in the modes that give them parts of it."""
    for mode in SHARING:
        name, scene = f"validation/{mode}-{100 * PARTS_LOAD:.0f}", replace(load.scenes["fits"], policy="fractional")
        if each_s is None:
            yield Step(name, [], 0, lacks="how long an invocation takes is not known: see service/fits")
            continue
        scale = min(PARTS_LOAD / each_s / load.rate_per_s, 1.0)
        step = _replay(device, load, scene, name, HALVES["validation"], scene.seconds, scale)
        yield replace(step, command=[*_command("replay", mode == "fractional"), *step.command[3:], "--mode", mode])


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
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-W", "default", *where]
    return Step("tests", command, 100, lacks=missing)


def _command(package: str, with_mps: bool = False) -> list[str]:
    """A command of this project, whether it is installed or not. with_mps: beside a daemon of MPS."""
    start = f"from {package}.cli import main; main()"
    if with_mps:
        start = f"from replay.device.mps import running\nwith running():\n    {start}"
    return [sys.executable, "-c", start]


def _by_load(scenes: dict[str, Scene]) -> list[tuple[str, float]]:
    """Scenes and their loads, the least loads first: whenever the time is over, each scene has been."""
    return [(name, part) for part, name in product(LOADS, scenes) if part in scenes[name].loads]


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
    draws = not name.startswith("service")
    command = [*_command("replay"), "run", f"trace/{scene.trace}", *words, "--force"]
    return Step(name, command, 4 * seconds + 60, draws=draws)


def _runs(work: Path, half: str) -> Sequence[str]:
    """The runs that there are of a half."""
    return sorted(str(file.parent.relative_to(work)) for file in (work / half).glob("*/manifest.json"))
