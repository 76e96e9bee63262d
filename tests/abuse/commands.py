"""Attacks by command lines: every command but those that need a network, a device or minutes, with any arguments."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import click

from tests.abuse.core import Attack, nasty, run
from tests.abuse.samples import LOADS, NATIVE, POLICIES, SCENARIO, calibration
from tests.docs.commands import MAIN

LEFT_OUT = {"fetch", "reproduce", "replay"}
GOOD = {
    "gpus": "2", "limit": "5", "window": "00:00-00:01", "functions": "3", "minutes": "2", "rate": "1", "seed": "1",
    "rate_scale": "0.5", "clients": "2", "graph": "bert", "policies": "balance", "calibration": "c.json",
    "format": "native", "scenario": "s.yaml", "catalogue": "small", "out": "out.parquet", "plot": "p.png",
    "arrivals": "poisson", "placement": "start", "service": "llm",
    "factors": "policy=balance", "seeds": "1", "jobs": "1", "paths": "t.csv", "ray": "nowhere",
}  # fmt: skip


def _command(rng: random.Random, folder: Path) -> str:
    (folder / "t.csv").write_bytes(NATIVE)
    (folder / "s.yaml").write_text(SCENARIO.replace("native.csv", "t.csv"))
    (folder / "c.json").write_text(calibration())
    words, command = rng.choice(list(_commands()))
    for parameter in rng.sample(command.params, rng.randint(0, len(command.params))):
        if isinstance(parameter, click.Argument):
            words += [_value(rng, "t.csv")]
        elif isinstance(parameter, click.Option) and (parameter.is_flag or rng.random() < 0.1):
            words += [rng.choice(parameter.opts)]
        else:
            words += [rng.choice(parameter.opts), _value(rng, _good(rng, parameter.name or ""))]
    for wanted in (p for p in command.params if p.required and rng.random() < 0.9):
        good = _good(rng, wanted.name or "")
        words += [good] if isinstance(wanted, click.Argument) else [wanted.opts[0], good]
    before = Path.cwd()
    os.chdir(folder)
    try:
        return run(words)
    finally:
        os.chdir(before)


def _commands() -> Iterator[tuple[list[str], click.Command]]:
    for name, group in MAIN.items():
        for sub, command in group.commands.items():
            if not LEFT_OUT & {name, sub}:
                yield [name, sub], command


def _good(rng: random.Random, name: str) -> str:
    if name == "load":
        return rng.choice(LOADS)
    return rng.choice(POLICIES) if name == "policies" else GOOD.get(name, "t.csv")


def _value(rng: random.Random, good: str) -> str:
    """No zero bytes: no command line has them."""
    return good if rng.random() < 0.6 else nasty(rng).replace("\0", "")


ATTACKS = [Attack("commands", _command, 2.0)]
