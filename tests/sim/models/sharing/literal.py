"""Sharing as it reads, in exact arithmetic and as slow as that is: the oracles of ``sim.models.sharing``."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Job:
    """A job of a schedule; ``killed_s``: when it is removed unless it has ended before, or None."""

    at_s: Fraction
    work_s: Fraction
    sm: Fraction
    bandwidth: Fraction
    killed_s: Fraction | None = None


def parts(demands):
    """Max-min fair parts of a resource of 1: tries who, from which demand on, is held at the level."""
    if sum(demands.values()) <= 1:
        return demands
    for least in demands.values():
        others = [d for d in demands.values() if d < least]
        level = (Fraction(1) - sum(others)) / (len(demands) - len(others))
        shares = {job: min(d, level) for job, d in demands.items()}
        if sum(shares.values()) == 1:
            return shares
    raise AssertionError("no level")


def speeds(jobs):
    """Speed of each job of a mapping of them."""
    sm = parts({job: its.sm for job, its in jobs.items()})
    speed = {job: sm[job] / its.sm for job, its in jobs.items()}
    wanted = {job: its.bandwidth * speed[job] for job, its in jobs.items()}
    drawn = parts(wanted)
    return {job: speed[job] * drawn[job] / wanted[job] if wanted[job] else speed[job] for job in jobs}


def schedule(jobs):
    """(Instant, seconds of work left) at which each job of a list leaves, from event to event."""
    now, left, outcome = Fraction(0), {}, {}
    while len(outcome) < len(jobs):
        v = speeds({job: jobs[job] for job in left})
        ahead = [now + left[job] / v[job] for job in left]
        ahead += [its.at_s for job, its in enumerate(jobs) if job not in left and job not in outcome]
        ahead += [jobs[job].killed_s for job in left if jobs[job].killed_s is not None]
        then = min(ahead)
        for job in left:
            left[job] -= v[job] * (then - now)
        now = then
        for job in [job for job in left if left[job] == 0 or jobs[job].killed_s == now]:
            outcome[job] = now, left.pop(job)
        for job, its in enumerate(jobs):
            if its.at_s == now and job not in outcome:
                left.setdefault(job, its.work_s)
    return outcome


def in_turns(jobs, length_s):
    """The same for a device that jobs have in turns of a length, slice by slice: those of an instant in the order
    ends, end of the slice, arrivals, kills.
    """
    now, line, left, outcome, slice_s = Fraction(0), deque(), {}, {}, length_s
    while len(outcome) < len(jobs):
        ahead = [its.at_s for job, its in enumerate(jobs) if job not in left]
        ahead += [jobs[job].killed_s for job in line if jobs[job].killed_s is not None]
        if line:
            ahead.append(now + min(slice_s, left[line[0]]))
        then = min(ahead)
        if line:
            left[line[0]] -= then - now
            slice_s -= then - now
        now = then
        if line and left[line[0]] == 0:
            outcome[line.popleft()] = now, Fraction(0)
            slice_s = length_s
        elif slice_s == 0:
            line.rotate(-1)
            slice_s = length_s
        for job, its in enumerate(jobs):
            if its.at_s == now and job not in left:
                line.append(job)
                left[job] = its.work_s
        for job in [job for job in line if jobs[job].killed_s == now]:
            if line[0] == job:
                slice_s = length_s
            line.remove(job)
            outcome[job] = now, left[job]
    return outcome
