"""What to call runs: by that in which they differ, and in no more words than tell them apart."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.runs import flatten
from sim.errors import RunError
from sim.records.results import Run
from sim.settings import exact

SETTINGS = ("gpus", "seed", "window", "device")  # what every table can show of how a run was made

_TOLD_ELSEWHERE = {"policies", "fleet.gpus", "seed", "window", "fleet.calibration"}


def identity(run: Run) -> dict[str, Any]:
    """Where a run is and how it was made: path, gpus, seed, window, device.

    The device is that on which kernels ran, or of a simulation the name of its calibration. None for what its manifest
    doesn't say, such as the window of a whole trace.
    """
    settings = flatten(run.manifest)
    device = "replay.device.name" if run.manifest.get("world") == "replay" else "calibration.name"
    keys = ("scenario.fleet.gpus", "scenario.seed", "scenario.window", device)
    return {"path": str(run.path), **{name: settings.get(key) for name, key in zip(SETTINGS, keys, strict=True)}}


def labels(runs: Sequence[Run], policies: Sequence[str], *, without: Collection[str] = ()) -> list[str]:
    """Each run's policy and that in which the runs differ: ``affinity, 8 GPUs, seed 1``.

    policies: what to call them, see ``brief_policies``. Runs that differ in nothing that the manifest tells get what
    differs in their paths. without: names of ``SETTINGS`` that the reader sees elsewhere.
    """
    told = [_in_words(run) for run in runs]
    shown = _differing(told)
    parts = [{"policy": p, **{k: t[k] for k in shown if k in t}} for p, t in zip(policies, told, strict=True)]
    for part, place in zip(parts, _places(runs, [tuple(part.items()) for part in parts]), strict=True):
        part |= {"place": place} if place else {}
    return [", ".join(text for key, text in part.items() if key not in without) for part in parts]


def named(labels: Sequence[str], names: Sequence[str]) -> list[str]:
    """The labels, or the names that a user gave, in the order of the runs, one each and no two alike; else RunError."""
    if names and len(names) != len(labels):
        raise RunError(f"--label must be given once for each run: there are {len(labels)} runs and {len(names)} labels")
    if twice := [name for name, n in Counter(names).items() if n > 1]:
        raise RunError(f"--label {twice[0]!r} is given to two runs; each must have its own")
    return list(names or labels)


def brief_policies(runs: Sequence[Run]) -> list[str]:
    """Policies without those parameters that have one value in all runs of a policy of that name."""
    split = [re.fullmatch(r"([^\[\]]+)\[([^\[\]]+)\]", run.label) for run in runs]
    settings = [match[2].split(",") if match else [] for match in split]
    brief = []
    for run, match, own in zip(runs, split, settings, strict=True):
        others = [s for m, s in zip(split, settings, strict=True) if m and match and m[1] == match[1]]
        kept = [setting for setting in own if not all(setting in s for s in others)]
        name = match[1] if match else run.label
        brief.append(f"{name}[{','.join(kept)}]" if kept else name)
    return brief


def differing_settings(runs: Sequence[Run]) -> list[str]:
    """Those of ``SETTINGS`` in which the runs differ."""
    values = [identity(run) for run in runs]
    return [name for name in SETTINGS if any(v[name] != values[0][name] for v in values)]


def hidden_differences(runs: Sequence[Run]) -> list[str]:
    """Keys in which runs differ though their labels don't show it: other files of the same name, for example."""
    shown = set(_differing(map(_in_words, runs)))
    told = _TOLD_ELSEWHERE | shown | ({"calibration"} if "device" in shown else set())
    settings = [{**_settings(run), "calibration": run.manifest.get("calibration")} for run in runs]
    return [key for key in _differing(settings) if key not in told]


def differing_keys(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Settings but policy and seed in which the runs differ, and the value of each run, None where it has none.

    ``gpus``, ``window`` and ``device`` as in ``identity``, and ``world``; others by their keys in the scenario, nested
    ones joined by a dot.
    """
    own = [{**identity(run), "world": run.manifest.get("world")} for run in runs]
    own = [{key: value for key, value in facts.items() if key not in ("path", "seed")} for facts in own]
    others = [{key: value for key, value in _settings(run).items() if key not in _TOLD_ELSEWHERE} for run in runs]
    facts = [{**first, **rest} for first, rest in zip(own, others, strict=True)]
    return {key: [fact.get(key) for fact in facts] for key in _differing(facts)}


def wrap_label(label: str, most: int) -> list[str]:
    """A label in lines of at most ``most`` characters, broken after a comma, bracket or space where there is one."""
    lines = [""]
    for piece in re.findall(rf".{{0,{most - 1}}}?[,\[ ]|.{{1,{most}}}", label):
        if len(lines[-1]) + len(piece.rstrip()) > most:
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines]


def _settings(run: Run) -> dict[str, Any]:
    """The scenario, key by key."""
    return flatten(run.manifest.get("scenario") or {})


def _in_words(run: Run) -> dict[str, str]:
    """How a run was made, in words by key; without what is not given."""
    own = identity(run)
    words = {
        "gpus": f"{own['gpus']} GPU{'' if own['gpus'] == 1 else 's'}",
        "seed": f"seed {own['seed']}",
        "window": str(own["window"]),
        "device": str(own["device"]),
    }
    words = {name: text for name, text in words.items() if own[name] is not None}
    if "world" in run.manifest:
        words["world"] = str(run.manifest["world"])
    for key, value in _settings(run).items():
        if key not in _TOLD_ELSEWHERE and value is not None:
            words[key] = f"{key.removesuffix('.name').rpartition('.')[2]} {brief(value)}"
    return words


def brief(value: Any) -> str:
    """A setting in few characters: files without their folders."""
    if isinstance(value, list):
        return " ".join(map(brief, value))
    if isinstance(value, float):
        return exact(value)
    return Path(value).name if isinstance(value, str) and value.startswith("/") else str(value)


def _differing(facts: Iterable[Mapping[str, Any]]) -> list[str]:
    """Keys whose values are not all equal, in their order."""
    facts = list(facts)
    keys = dict.fromkeys(key for fact in facts for key in fact)
    return [key for key in keys if any(fact.get(key) != facts[0].get(key) for fact in facts)]


def _places(runs: Sequence[Run], told: Sequence[object]) -> list[str]:
    """What differs in the paths of the runs of which the same is told; empty for the others."""
    paths = [run.path.resolve() for run in runs]
    places = []
    for path, own in zip(paths, told, strict=True):
        like = [p for p, t in zip(paths, told, strict=True) if t == own]
        if len(like) == 1:
            places.append("")
            continue
        common = os.path.commonpath([p.parent for p in like])
        below = [p.relative_to(common).parts for p in like]
        while all(len(parts) > 1 for parts in below) and len({parts[-1] for parts in below}) == 1:
            below = [parts[:-1] for parts in below]
        places.append("/".join(below[like.index(path)]))
    return places
