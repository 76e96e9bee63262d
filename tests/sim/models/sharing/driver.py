"""Jobs that come, end and are killed, played on the bookkeeping of a device."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import strategies as st

from tests.sim.models.sharing.literal import Job


def drain(its):
    """Ends (instant, job) in order."""
    ends = []
    while (end := its.next_end()) is not None:
        assert its.remove(*end) == 0.0
        ends.append(end)
    return ends


def played(its, jobs, watch=lambda its, there: None):
    """What ``literal.schedule`` gives, from the bookkeeping of a device, which ``watch`` sees with its jobs before time
    moves on.
    """
    outcome, there = {}, {}
    events = [(job.at_s, "add", i) for i, job in enumerate(jobs)]
    events += [(job.killed_s, "kill", i) for i, job in enumerate(jobs) if job.killed_s is not None]
    for at_s, what, i in [*sorted(events), (float("inf"), "", -1)]:
        now_s = None
        while (end := its.next_end()) is not None and end[0] <= at_s:
            if now_s != end[0]:
                watch(its, there)
            now_s = end[0]
            outcome[end[1]] = now_s, its.remove(*end)
            assert outcome[end[1]][1] == 0.0
            del there[end[1]]
        if now_s != at_s:
            watch(its, there)
        if what == "add":
            its.add(float(at_s), i, float(jobs[i].work_s), float(jobs[i].sm), float(jobs[i].bandwidth))
            there[i] = jobs[i]
        elif i in there:
            outcome[i] = float(at_s), its.remove(float(at_s), i)
            del there[i]
    return outcome


def fractions(low, high, denominator):
    return st.integers(low, high).map(lambda n: Fraction(n, denominator))


SM, BANDWIDTH = fractions(1, 24, 24), fractions(0, 24, 24)


def jobs(sm=SM, bandwidth=BANDWIDTH, killed=True, max_size=7):
    """Lists of jobs with small denominators, so that ties and exactly full resources are frequent."""
    lives = st.one_of(st.none(), fractions(1, 40, 8)) if killed else st.none()
    job = st.tuples(fractions(0, 24, 8), fractions(1, 24, 8), sm, bandwidth, lives)
    return st.lists(
        job.map(lambda j: Job(*j[:4], None if j[4] is None else j[0] + j[4])), min_size=1, max_size=max_size
    )
