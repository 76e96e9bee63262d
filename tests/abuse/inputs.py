"""Attacks by files and texts: traces of all formats, scenarios, calibrations, catalogues, points, loads, policies."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import tarfile
from pathlib import Path

from sim.errors import ProjectError, ScenarioError
from sim.loads import Clients, make_load
from sim.studies.kaas.experiments import SETUPS, WORKLOADS
from sim.studies.kaas.points import complete, read_points
from tests.abuse.core import Attack, mangle, run
from tests.abuse.samples import LOADS, NATIVE, POINTS, POLICIES, SCENARIO, TRACES, calibration, catalogue, parquet


def _trace(rng: random.Random, folder: Path) -> str:
    """A mangled table, perhaps compressed or in an archive and then mangled again, to be inspected or simulated."""
    name = rng.choice([*TRACES, "x.parquet"])
    content = mangle(rng, TRACES[name] if name in TRACES else parquet())
    packed = rng.choice([None] * 6 + [gzip.compress, bz2.compress, lzma.compress, _tar])
    if packed is not None:
        content = packed(content)
        content = mangle(rng, content) if rng.random() < 0.5 else content
    (folder / name).write_bytes(content)
    what = folder if rng.random() < 0.2 else folder / name
    if rng.random() < 0.8:
        return run(["traces", "inspect", what])
    return run(["simulate", "run", what, "--policy", "balance", "--limit", "20", "-o", folder / "out"])


def _tar(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("x.csv")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _scenario(rng: random.Random, folder: Path) -> str:
    (folder / "native.csv").write_bytes(NATIVE)
    (folder / "s.yaml").write_bytes(mangle(rng, SCENARIO.encode()))
    return run(["simulate", "run", "--scenario", folder / "s.yaml", "-o", folder / "out"])


def _description(rng: random.Random, folder: Path) -> str:
    """A mangled calibration or catalogue, under one of the policies."""
    (folder / "native.csv").write_bytes(NATIVE)
    option, text = rng.choice([("--calibration", calibration()), ("--catalogue", catalogue())])
    (folder / "d.json").write_bytes(mangle(rng, text.encode()))
    words = ["simulate", "run", folder / "native.csv", "--policy", rng.choice(POLICIES), "--functions", "catalogue"]
    return run([*words, option, folder / "d.json", "-o", folder / "out"])


def _points(rng: random.Random, folder: Path) -> str:
    """Mangled points are read; simulating them takes seconds."""
    (folder / "p.csv").write_bytes(mangle(rng, POINTS.encode()))
    try:
        rows = read_points(folder / "p.csv", SETUPS["arxiv"], WORKLOADS)
    except ScenarioError:
        return "refused"
    for row in rows:
        complete(row, None)
    return "done"


def _text(rng: random.Random, folder: Path) -> str:
    """A mangled load: it is refused, or begins. A mangled policy."""
    if rng.random() < 0.5:
        text = mangle(rng, rng.choice(LOADS).encode()).decode(errors="replace")
        try:
            trace = make_load(text).trace(Clients(rng.choice([1, 3]), "bert"))
            next(trace.chunks(), None)
        except ProjectError:
            return "refused"
        return "done"
    (folder / "native.csv").write_bytes(NATIVE)
    text = mangle(rng, rng.choice(POLICIES).encode()).decode(errors="replace")
    return run(["simulate", "run", folder / "native.csv", f"--policy={text}", "-o", folder / "out"])


ATTACKS = [
    Attack("traces", _trace, 3.0),
    Attack("scenarios", _scenario),
    Attack("descriptions", _description),
    Attack("points", _points, 0.3),
    Attack("texts", _text, 0.7),
]
