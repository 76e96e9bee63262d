"""Tell in words where the time of one invocation went: its story in order of time, and a table that adds up."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from typing import Any

from analysis.account import Account, Others, account
from sim.records.results import Run
from sim.text import counted, short

_MOST_NAMED = 5  # functions of what else went on
_AS_EXPECTED = 0.005
_NOTHING_S = 1e-9  # a stage so short is none
_WIDTH, _INDENT = 100, 12  # of the story


def why(run: Run, invocation: int) -> dict[str, Any]:
    """The story of an invocation as plain data, as ``analyze why --json`` prints it: what it was, ``story`` of (at_s,
    text), and ``parts`` of (part, seconds, share). Raises RunError as ``analysis.account.account`` does."""
    found = account(run, invocation)
    row, latency_s = found.row, found.latency_s
    return {
        "invocation": invocation,
        "function": found.function,
        "status": row["status"],
        "arrival_at_s": row["arrival_at_s"],
        "latency_s": latency_s,
        "isolated_s": found.isolated_s,
        "told": _told(found),
        "story": [{"at_s": float(at_s), "text": text} for at_s, text in _story(found)],
        "parts": [
            {"part": part, "s": part_s, "frac": part_s / latency_s if latency_s else 0.0}
            for part, part_s in found.parts.items()
        ],
    }


def as_text(told: dict[str, Any]) -> str:
    """The same for people."""
    lines = [told["told"], "", "      at s"]
    for event in told["story"]:
        wrapped = textwrap.wrap(event["text"], _WIDTH - _INDENT)
        lines += [f"{event['at_s']:10.4f}  {wrapped[0]}", *(" " * _INDENT + line for line in wrapped[1:])]
    shown = [(part["part"].replace("_", " "), part["s"], part["frac"]) for part in told["parts"] if part["s"] > 0]
    shown.append(("in all", told["latency_s"], sum(part["frac"] for part in told["parts"])))
    width = max(len(name) for name, _, _ in shown)
    lines += ["", f"{'part':{width}}  {'ms':>12}  {'%':>5}"]
    lines += [f"{name:{width}}  {part_s * 1e3:12,.3f}  {100 * frac:5.1f}" for name, part_s, frac in shown]
    return "\n".join(lines)


def _told(found: Account) -> str:
    """In one sentence."""
    row = found.row
    who = f"Invocation {row['invocation']} of {found.function}"
    if row["status"] != "completed":
        reason = f" ({row['reason']})" if row["reason"] else ""
        how = {"unfinished": "had not ended when the run did", "failed": "failed"}.get(row["status"], "was rejected")
        return f"{who} {how}{reason}, {_ms(found.latency_s)} after its arrival."
    took, expected = f"{who} took {_ms(found.latency_s)}", "expected of it when warm and alone"
    if not found.isolated_s > 0:
        return f"{took}."
    ratio = found.latency_s / found.isolated_s
    if abs(ratio - 1) < _AS_EXPECTED:
        return f"{took}, as {expected}."
    return f"{took}, {short(ratio)} times the {_ms(found.isolated_s)} that are {expected}."


def _story(found: Account) -> Iterator[tuple[float, str]]:
    row = found.row
    yield row["arrival_at_s"], "It arrived."
    parts = found.parts
    if math.isnan(row["admitted_at_s"]):
        yield from _end(found)
        return
    if parts["gate"]:
        late = "It was issued {} late." if found.replayed else "It was let in after {}."
        yield row["admitted_at_s"], late.format(_ms(parts["gate"]))
    if math.isnan(row["queued_at_s"]):
        yield from _end(found)
        return
    if parts["before_pool"]:
        yield row["queued_at_s"], f"It came to the pool after {_ms(parts['before_pool'])} in the frontend."
    if row["attempt"] > 1:
        yield row["queued_at_s"], f"What follows is its attempt {row['attempt']}; those before failed or took too long."
    yield from _waiting(found)
    if not math.isnan(row["started_at_s"]):
        yield from _running(found)
    yield from _end(found)


def _waiting(found: Account) -> Iterator[tuple[float, str]]:
    row, worker = found.row, found.worker
    if math.isnan(row["started_at_s"]):
        yield row["queued_at_s"], "It waited, and no device began on it."
        return
    assert worker is not None
    place = f"worker {row['worker']} on GPU {row['device']}"
    waited_s = row["dispatch_at_s"] - row["queued_at_s"]
    where = place if worker["function"] < 0 else f"GPU {row['device']}"
    if found.ahead or found.passed:
        ahead = f"{counted(found.ahead, 'invocation')} that began before it had not ended on {where}"
        passed = f", and {found.passed:,} that came later began before it" if found.passed else ""
        yield row["queued_at_s"], f"It waited {_ms(waited_s)} for {place}: {ahead}{passed}."
    elif waited_s > 0:
        yield row["queued_at_s"], f"It waited {_ms(waited_s)} for {place}."
    for text in _beside(found.waited_beside):
        yield row["queued_at_s"], f"Meanwhile {text} on {where}."
    if row["cold"]:
        begun_at_s, ready_at_s = worker["begun_at_s"], worker["climbed_at_s"]
        stages = ", ".join(f"{name} {_ms(stage_s)}" for name, stage_s in found.stages_s.items() if stage_s > _NOTHING_S)
        began = "had begun before" if begun_at_s < row["queued_at_s"] else "began"
        yield begun_at_s, f"The start of {place} {began}, which it waited for: {stages or 'without stages'}."
        yield ready_at_s, f"Worker {row['worker']} was ready, {_ms(ready_at_s - begun_at_s)} after that."


def _running(found: Account) -> Iterator[tuple[float, str]]:
    row, parts = found.row, found.parts
    if parts["dispatch"]:
        yield row["dispatch_at_s"], f"Worker {row['worker']} turned to it: {_ms(parts['dispatch'])} of dispatch."
    others = f" in a batch of {row['batch']}" if row["batch"] > 1 else ""
    yield row["started_at_s"], f"GPU {row['device']} began on it{others}."
    if row["status"] != "completed":
        return
    if parts["loads"] or row["constant_bytes"]:
        what = f"{_size(row['h2d_bytes'])} to the device"
        if row["constant_bytes"]:
            what += f", of which {_size(row['constant_bytes'])} were constants that were not resident"
        yield row["started_at_s"], f"Copies took {_ms(parts['loads'])}: {what}."
    if found.evicted:
        whose = ", ".join(f"{_size(n_bytes)} of {name}" for name, n_bytes in found.evicted)
        yield row["started_at_s"], f"To make room {whose} were evicted."
    elif row["n_evicted"]:
        yield row["started_at_s"], f"To make room {counted(row['n_evicted'], 'buffer')} were evicted."
    yield row["kernels_at_s"], f"Kernels ran for {_ms(parts['kernels'])}."
    for text in _beside(found.ran_beside):
        yield row["kernels_at_s"], f"Meanwhile {text} in kernels on GPU {row['device']} too."
    done = f"Worker {row['worker']} was done with it, {_ms(row['left_at_s'] - row['started_at_s'])} after its begin"
    yield row["left_at_s"], f"{done}; {_ms(row['expected_s'])} were expected of a warm one on a GPU of its own."


def _end(found: Account) -> Iterator[tuple[float, str]]:
    row = found.row
    how = {
        "completed": "Its client had the reply",
        "unfinished": "The run ended, and it had not",
        "failed": "It failed",
        "rejected": "It was rejected",
    }[row["status"]]
    yield row["over_at_s"], f"{how}{': ' if row['reason'] else ''}{row['reason']}."


def _beside(others: Others) -> Iterator[str]:
    """What others did, in half sentences."""
    n_named = _MOST_NAMED if len(others.ran) > _MOST_NAMED + 1 else _MOST_NAMED + 1  # the rest is never one alone
    named = [f"{n:,} of {name} ({_ms(spent_s)})" for name, n, spent_s in others.ran[:n_named]]
    if more := others.ran[n_named:]:
        named.append(f"{sum(n for _, n, _ in more):,} of {len(more):,} other functions")
    n_ran = sum(n for _, n, _ in others.ran)
    if n_ran == 1:
        yield f"1 invocation ran, {named[0].removeprefix('1 ')}"
    elif n_ran:
        yield f"{n_ran:,} invocations ran, {', '.join(named)}"
    if others.started:
        spent_s = sum(start_s for _, _, start_s in others.started)
        number, name, longest_s = others.started[0]
        longest = f"worker {number}{f' of {name}' if name else ''}"
        if len(others.started) == 1:
            yield f"{longest} started cold ({_ms(spent_s)})"
        else:
            n = counted(len(others.started), "worker")
            yield f"{n} started cold ({_ms(spent_s)}; the longest was {longest}, {_ms(longest_s)})"


def _ms(seconds: float) -> str:
    return f"{short(seconds * 1e3)} ms"


def _size(n_bytes: int) -> str:
    unit, name = next(((u, n) for u, n in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")) if n_bytes >= u), (1, "B"))
    return f"{short(n_bytes / unit)} {name}"
