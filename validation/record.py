"""Replays on the CPU that stand in for a GPU, recorded for the budget: a calibration, and repeats of three scenes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from replay.session import measure_service_s
from sim.files.output import scratch
from sim.records.seal import MANIFEST, seal

FOLDER = "cpu"
REPEATS = 3
LOADS = {"fits": 0.6, "overfull": 0.6, "exclusive": 0.4}  # of what the device can do: there are queues, and they end
N_FUNCTIONS, PER_S = {"few": 8, "many": 48}, 25  # of traces: their constants fit into the memory, and don't
MEMORY_BYTES = 24_000_000
SCENES = {"fits": ("balance", "few", 6), "overfull": ("affinity", "many", 6), "exclusive": ("exclusive", "many", 15)}
LEARN_S = {"fits": 12, "overfull": 15, "exclusive": 45}  # of the replays that are calibrated by
SUMMARY = "summary.json"  # of every run, and its manifest ...
DETAILS = ("invocations.parquet", "decisions.jsonl")  # ... and of the first of each scene, which is simulated


def record(home: Path) -> Path:
    """Replay anew, in about three minutes, and put what is needed into a folder of ``home``, which is returned."""
    with scratch() as work:
        for trace, n in N_FUNCTIONS.items():
            synth = f"traces synth --functions {n} --minutes 2 --rate {PER_S} --seed 1 --arrivals poisson"
            _call(work, *synth.split(), "-o", f"trace/{trace}")
        _call(work, "replay", "probe", "-o", "probe.json")
        parts = {}
        for scene in SCENES:
            _replay(work, scene, f"service/{scene}", "00:00-00:01", 5, 1.0 if scene != "exclusive" else 0.1)
            each_s = measure_service_s(work / "service" / scene)
            assert each_s is not None, f"{scene} completes nothing"
            parts[scene] = min(LOADS[scene] / each_s / PER_S, 1.0)
            _replay(work, scene, f"learn/{scene}", "00:00-00:01", LEARN_S[scene], parts[scene])
        learnt = [f"learn/{scene}" for scene in SCENES]
        _call(work, "replay", "calibrate", *learnt, "--probe", "probe.json", "-o", "calibration.json")
        for repeat in range(1, REPEATS + 1):
            for scene, (_, _, seconds) in SCENES.items():
                _replay(work, scene, f"runs/{scene}-{repeat}", "00:01-00:02", seconds, parts[scene])
        return _keep(work, home / FOLDER)


def _call(work: Path, command: str, *words: object) -> None:
    package = {"traces": "traces", "replay": "replay"}[command]
    start = f"from {package}.cli import main; main()"
    subprocess.run([sys.executable, "-c", start, *map(str, words)], cwd=work, check=True, stdout=sys.stderr)


def _replay(work: Path, scene: str, name: str, window: str, seconds: float, scale: float) -> None:
    policy, trace, _ = SCENES[scene]
    pace = ["--window", window, "--duration", seconds, "--rate-scale", f"{scale:.4g}", "--seed", 1]
    where = ["--catalogue", "small", "--memory-limit", MEMORY_BYTES, "-o", name]
    _call(work, "replay", "run", f"trace/{trace}", "--policy", policy, *pace, *where)


def _keep(work: Path, folder: Path) -> Path:
    """The calibration, the traces, and of each run what a comparison needs; paths are those within the folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.copy(work / "calibration.json", folder)
    shutil.copytree(work / "trace", folder / "trace")
    for run in sorted((work / "runs").iterdir()):
        kept = folder / "runs" / run.name
        kept.mkdir(parents=True)
        names = [SUMMARY, *(DETAILS if run.name.endswith("-1") else ())]
        for name in names:
            shutil.copy(run / name, kept)
        text = (run / MANIFEST).read_text("utf-8").replace(f"{work.resolve()}/", "")
        manifest = {key: value for key, value in json.loads(text).items() if key not in ("files", "sha256")}
        sealed = seal(manifest, [kept / name for name in names])
        (kept / MANIFEST).write_text(json.dumps(sealed, indent=1) + "\n", "utf-8")
    return folder
