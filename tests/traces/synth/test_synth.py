"""The synthetic trace: the published layout, the same bytes for the same seed, exact timers, bursts, and defects."""

import csv
import math
import os

import numpy as np
import pytest
from scipy import stats

from sim.errors import OutputError, TraceError
from tests.traces.trace_files import collect
from traces.open import open_trace
from traces.readers.daily_files import Role
from traces.synth import facts
from traces.synth.azure2019 import write_azure2019
from traces.synth.counts import cycles, draw_counts
from traces.synth.files import MARK
from traces.synth.population import Population, draw_population


def rows(directory, role, day=1):
    with (directory / role.published_name(day)).open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def two_weeks(tmp_path_factory):
    """A population of 400 functions, and its counts over 14 days."""
    population = draw_population(400, 20_160, None, 3)
    return population, np.vstack([counts for _, counts in draw_counts(population, 20_160, 3)])


@pytest.fixture(scope="module")
def thirteen_days(tmp_path_factory):
    """Twenty functions, until the second minute of the 13th day."""
    path = tmp_path_factory.mktemp("days")
    write_azure2019(path, n_functions=20, minutes=12 * 1440 + 2, rate_per_s=0.01, seed=1)
    return path


def test_it_is_in_the_published_layout(tmp_path):
    files = write_azure2019(tmp_path / "demo", rate_per_s=30)
    trace = open_trace(tmp_path / "demo", window="00:00-01:00")
    assert [tmp_path / "demo" / MARK, *files] == sorted((tmp_path / "demo").iterdir())
    assert [file.name for file in files] == sorted(role.published_name(1) for role in Role)
    assert trace.source.format == "azure2019"
    assert trace.source.anomalies == {}
    assert len(trace.functions) == 100
    assert trace.n_arrivals / 3600 == pytest.approx(30, rel=0.1)
    assert all(len(part) == 64 and int(part, 16) >= 0 for f in trace.functions for part in f.key.split("/"))
    minimum = rows(tmp_path / "demo", Role.DURATIONS)[0]["Minimum"]
    assert minimum == f"{float(minimum):.1f}"


def test_only_the_asked_minutes_have_invocations(tmp_path):
    write_azure2019(tmp_path, n_functions=20, minutes=7, rate_per_s=5)
    assert collect(open_trace(tmp_path)).at_s.max() < 7 * 60


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    first, again, other = (
        [file.read_bytes() for file in write_azure2019(tmp_path / name, n_functions=30, seed=seed)]
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first == again
    assert all(x != y for x, y in zip(first, other, strict=True))


def test_the_rate_leaves_functions_and_memory_alone(tmp_path):
    slow, fast = (write_azure2019(tmp_path / str(rate), rate_per_s=rate) for rate in (10.0, 50.0))
    assert slow[0].read_bytes() == fast[0].read_bytes()
    assert [f.key for f in open_trace(tmp_path / "10.0").functions] == [
        f.key for f in open_trace(tmp_path / "50.0").functions
    ]


@pytest.mark.parametrize("rate_per_s", [1.0, 20.0, 1000.0])
def test_the_asked_rate_is_met(rate_per_s):
    """Below and above the published one, which is 18/s for so many functions and minutes."""
    population = draw_population(100, 60, rate_per_s, 0)
    assert population.expected.sum() / 3600 == pytest.approx(rate_per_s)
    assert population.expected.min() >= 1


def test_a_higher_rate_keeps_the_popularity():
    """Of functions other than timers, whose rates are their periods'."""
    published, high = (draw_population(100, 60, rate, 0) for rate in (None, 1000.0))
    ratio = high.expected / published.expected
    assert ratio[high.trigger == facts.TIMER] == pytest.approx(1)
    assert ratio[high.trigger != facts.TIMER] == pytest.approx(ratio.max())
    assert ratio.max() > 10


@pytest.mark.parametrize(
    ("n_functions", "minutes", "rate_per_s"), [(1, 1, 0.1), (5, 1440, 0.01), (300, 2, 40.0), (3, 2000, None)]
)
def test_every_function_is_invoked(tmp_path, n_functions, minutes, rate_per_s):
    write_azure2019(tmp_path, n_functions=n_functions, minutes=minutes, rate_per_s=rate_per_s)
    trace = open_trace(tmp_path)
    assert len(trace.functions) == n_functions
    assert trace.n_arrivals >= n_functions


def test_a_day_has_the_functions_that_are_invoked_that_day(thirteen_days):
    """But the first, so that no table is empty; durations count the invocations of the day."""
    n_rows = []
    for day in range(1, 14):
        counts = {
            r["HashFunction"]: sum(int(r[str(m)]) for m in range(1, 1441))
            for r in rows(thirteen_days, Role.INVOCATIONS, day)
        }
        durations = {r["HashFunction"]: int(r["Count"]) for r in rows(thirteen_days, Role.DURATIONS, day)}
        assert counts == durations
        assert all(list(counts.values())[1:])
        n_rows.append(len(counts))
    assert min(n_rows) < 20
    assert len(open_trace(thirteen_days).functions) == 20


def test_memory_is_told_of_the_first_twelve_days(thirteen_days):
    names = sorted(file.name for file in thirteen_days.glob("app_memory*"))
    assert names == [Role.MEMORY.published_name(day) for day in range(1, 13)]
    assert (thirteen_days / Role.INVOCATIONS.published_name(13)).exists()
    apps = {r["HashApp"] for r in rows(thirteen_days, Role.INVOCATIONS, 2)}
    assert {r["HashApp"] for r in rows(thirteen_days, Role.MEMORY, 2)} == apps


def test_the_last_day_ends_where_it_was_asked_to(thirteen_days):
    last = rows(thirteen_days, Role.INVOCATIONS, 13)
    assert all(r[str(minute)] == "0" for r in last for minute in range(3, 1441))


def test_timers_have_exact_periods_across_days(two_weeks):
    population, counts = two_weeks
    timers = counts[population.trigger == facts.TIMER]
    assert len({int(np.flatnonzero(row)[0]) for row in timers}) > 10
    for row, period in zip(timers, population.period[population.trigger == facts.TIMER], strict=True):
        assert set(row) <= {0, 1}
        assert set(np.diff(np.flatnonzero(row))) == {period}
        assert period in facts.TIMER_PERIOD_SHARE


def test_timers_have_the_published_periods():
    population = draw_population(20_000, 20_160, None, 0)
    period, n = np.unique(population.period[population.period > 0], return_counts=True)
    share = np.array([facts.TIMER_PERIOD_SHARE[p] for p in period]) / sum(facts.TIMER_PERIOD_SHARE.values())
    assert stats.chisquare(n, share * n.sum()).pvalue > 0.001


def test_the_published_rates_come_out_over_two_weeks():
    """Figure 5a, of all functions, timers too."""
    population = draw_population(20_000, 20_160, None, 0)
    for rate, p in zip(facts.RATE_A_DAY, facts.RATE_CDF, strict=True):
        assert np.mean(population.expected / 14 <= rate * (1 + 1e-9)) == pytest.approx(p, abs=0.02)


def test_days_and_weeks_have_cycles():
    cycle = cycles(20_160).reshape(14, 1440)
    daily = cycle.mean(axis=1)
    weekdays = np.delete(daily, [5, 6, 12, 13])
    assert cycle.mean() == pytest.approx(1)
    assert np.ptp(weekdays) == pytest.approx(0, abs=1e-9)
    assert daily[[5, 6, 12, 13]] / weekdays[0] == pytest.approx(1 - facts.WEEKEND_DIP)
    assert np.ptp(cycle[0]) / 2 / daily[0] == pytest.approx(facts.DAILY_SWING, rel=0.01)


def test_invocations_follow_the_cycles(two_weeks):
    population, counts = two_weeks
    total = counts[(population.trigger != facts.TIMER) & (population.cv > 1)].sum(axis=0).reshape(14, 1440)
    weekend = total[[5, 6, 12, 13]].mean() / np.delete(total, [5, 6, 12, 13], axis=0).mean()
    assert weekend == pytest.approx(1 - facts.WEEKEND_DIP, abs=0.04)
    by_hour = total.sum(axis=0).reshape(24, 60).sum(axis=1)
    assert np.corrcoef(by_hour, cycles(1440).reshape(24, 60).sum(axis=1))[0, 1] > 0.9


def inter_arrival_cv(counts, rng):
    gaps = [np.diff(np.sort(np.repeat(np.arange(len(row)), row) + rng.random(row.sum()))) for row in counts]
    pooled = np.concatenate(gaps)
    return pooled.std() / pooled.mean()


@pytest.mark.parametrize("cv", [0.25, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("a_minute", [0.01, 0.05])
def test_functions_have_the_irregularity_that_they_aim_at(cv, a_minute):
    """Erlang and interrupted Poisson processes; so rare that the placement in a minute hardly counts."""
    n, minutes = 200, 20_160
    of_function = np.zeros(n, np.int64)
    population = Population(
        of_function, np.arange(n), of_function, of_function, np.full(n, a_minute * minutes), np.full(n, cv)
    )
    counts = np.vstack([c for _, c in draw_counts(population, minutes, 0)])
    assert counts.sum() / (n * minutes) == pytest.approx(a_minute, rel=0.05)
    assert inter_arrival_cv(counts, np.random.default_rng(0)) == pytest.approx(cv, rel=0.1)


def test_bursts_are_longer_than_a_minute():
    """Counts of neighbouring minutes are correlated, of distant ones aren't."""
    n, minutes = 100, 20_160
    of_function = np.zeros(n, np.int64)
    population = Population(
        of_function, np.arange(n), of_function, of_function, np.full(n, 2.0 * minutes), np.full(n, 5.0)
    )
    counts = np.vstack([c for _, c in draw_counts(population, minutes, 0)]) / cycles(minutes)
    deviation = counts - counts.mean(axis=1, keepdims=True)

    def correlation(lag):
        return float((deviation[:, lag:] * deviation[:, :-lag]).mean() / deviation.var())

    assert correlation(1) > 0.4
    assert correlation(120) == pytest.approx(0, abs=0.02)


def test_blocks_leave_no_seam(monkeypatch):
    """The counts of a function depend on its block, but every function has a row."""
    monkeypatch.setattr("traces.synth.counts._CELLS", 70)
    population = draw_population(23, 10, None, 0)
    blocks = list(draw_counts(population, 10, 0))
    assert [first for first, _ in blocks] == [0, 7, 14, 21]
    assert np.vstack([counts for _, counts in blocks]).shape == (23, 10)


def test_defects_are_those_that_the_reader_counts(tmp_path):
    """At a tenth of the functions of d01, each defect has a tenth of its rows, and one at least."""
    n = facts.N_FUNCTIONS // 10
    write_azure2019(tmp_path, n_functions=n, minutes=1440, defects=True)
    found = open_trace(tmp_path).source.anomalies
    assert found == {
        "average_not_positive": 1 + facts.ZERO_AVERAGE_ROWS // 10,
        "duplicate_durations_row": round(facts.TWICE_IN_DURATIONS / 10),
        "duplicate_memory_row": facts.TWICE_IN_MEMORY // 10,
        "function_without_durations": round(facts.WITHOUT_DURATIONS / 10),
        "function_without_memory": found["function_without_memory"],
        "minimum_or_maximum_empty": 2 * facts.EMPTY_EXTREMES // 10,
    }
    in_memory = {r["HashApp"] for r in rows(tmp_path, Role.MEMORY)}
    invoked = {r["HashApp"] for r in rows(tmp_path, Role.INVOCATIONS)}
    assert len(invoked - in_memory) == round(facts.WITHOUT_MEMORY / 10)
    assert sum(r["Average"].startswith("-") for r in rows(tmp_path, Role.DURATIONS)) == 1


def test_triggers_change_after_the_first_day(tmp_path):
    write_azure2019(tmp_path, n_functions=300, minutes=2880, defects=True)
    one, two = ({r["HashFunction"]: r["Trigger"] for r in rows(tmp_path, Role.INVOCATIONS, day)} for day in (1, 2))
    changed = {key for key in one.keys() & two.keys() if one[key] != two[key]}
    assert changed
    assert {one[key] for key in changed} == {"others"}


def test_a_small_trace_has_every_defect_and_can_be_read(tmp_path):
    write_azure2019(tmp_path, n_functions=30, minutes=60, defects=True)
    found = open_trace(tmp_path).source.anomalies
    assert {"average_not_positive", "duplicate_durations_row", "function_without_durations"} <= set(found)


@pytest.mark.parametrize("n_functions", [1, 2, 5])
def test_a_tiny_trace_with_defects_can_be_read(tmp_path, n_functions):
    write_azure2019(tmp_path, n_functions=n_functions, minutes=3000, defects=True)
    assert len(open_trace(tmp_path).functions) == n_functions


def test_the_means_of_drawn_durations_are_near_the_averages(tmp_path):
    write_azure2019(tmp_path, n_functions=1000, minutes=60, rate_per_s=100)
    trace = open_trace(tmp_path)
    arrivals = collect(trace)
    expected_s = np.array([f.mean_s for f in trace.functions])[arrivals.function].sum()
    assert arrivals.duration_s.sum() / expected_s == pytest.approx(1.1, abs=0.2)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"n_functions": 0}, "functions 0: must be 1 to 1,000,000"),
        ({"minutes": 0}, "minutes 0: must be 1 to 20160, 14 days"),
        ({"minutes": 20_161}, "minutes 20161"),
        ({"rate_per_s": 0.01}, "rate 0.01: must be 0.0278 to 500,000"),
        ({"rate_per_s": math.nan}, "rate nan"),
        ({"rate_per_s": math.inf}, "rate inf"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_numbers_that_cant_be_met_are_refused(tmp_path, wrong, match):
    with pytest.raises(TraceError, match=match):
        write_azure2019(tmp_path / "x", **wrong)
    assert not (tmp_path / "x").exists()


def test_a_trace_is_overwritten_only_when_asked(tmp_path):
    files = write_azure2019(tmp_path, seed=1)
    before = [file.read_bytes() for file in files]
    with pytest.raises(OutputError, match="is there already"):
        write_azure2019(tmp_path, seed=2)
    assert [file.read_bytes() for file in files] == before
    write_azure2019(tmp_path, seed=2, overwrite=True)
    assert [file.read_bytes() for file in files] != before


def test_a_genuine_trace_is_never_overwritten(tmp_path):
    """Be it without our mark, or beside it under a name that a synthetic one had."""
    files = write_azure2019(tmp_path, seed=1)
    (tmp_path / MARK).rename(tmp_path / "SOURCE.txt")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(OutputError, match="is not as 'traces synth' wrote it, so --force does not replace it"):
        write_azure2019(tmp_path, seed=2, overwrite=True)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    (tmp_path / "SOURCE.txt").rename(tmp_path / MARK)
    files[0].write_bytes(b"HashOwner,HashApp\n")
    with pytest.raises(OutputError, match=f"{files[0].name}: is not as"):
        write_azure2019(tmp_path, seed=2, overwrite=True)
    assert files[0].read_bytes() == b"HashOwner,HashApp\n"


def test_a_shorter_trace_leaves_no_days_of_a_longer_one(tmp_path):
    write_azure2019(tmp_path, minutes=3000)
    (tmp_path / "notes.txt").write_text("mine")
    files = write_azure2019(tmp_path, overwrite=True)
    assert sorted(tmp_path.iterdir()) == [tmp_path / MARK, *files, tmp_path / "notes.txt"]


@pytest.mark.parametrize("n_before", range(7))
def test_an_interrupted_call_beside_other_files_leaves_no_trace(tmp_path, monkeypatch, n_before):
    """Whichever rename is the last that happens, what is left isn't read as a trace."""
    write_azure2019(tmp_path, minutes=1441, seed=1)
    (tmp_path / "notes.md").write_text("mine")
    renames = iter([os.replace] * n_before)

    def replace(source, target):
        next(renames, interrupt)(source, target)

    def interrupt(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr("sim.files.output.os.replace", replace)
    with pytest.raises(KeyboardInterrupt):
        write_azure2019(tmp_path, minutes=1441, seed=2, overwrite=True)
    with pytest.raises(TraceError, match=r"no invocations table|no trace file|lacks the durations table"):
        open_trace(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} <= {".csv", ".json", ".md"}


@pytest.mark.parametrize("n_before", range(1, 6))
def test_neither_does_one_that_is_interrupted_while_the_old_trace_goes(tmp_path, monkeypatch, n_before):
    from pathlib import Path

    write_azure2019(tmp_path, minutes=1441, seed=1)
    (tmp_path / "notes.md").write_text("mine")
    gone = []

    def unlink(path, missing_ok=False):
        if path.parent == tmp_path:
            if len(gone) == n_before:
                raise KeyboardInterrupt
            gone.append(path)
        os.unlink(path)

    monkeypatch.setattr(Path, "unlink", unlink)
    with pytest.raises(KeyboardInterrupt):
        write_azure2019(tmp_path, minutes=1441, seed=2, overwrite=True)
    with pytest.raises(TraceError, match=r"no invocations table|no trace file|lacks the durations table"):
        open_trace(tmp_path)


def test_a_path_that_cant_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="can't be written"):
        write_azure2019(tmp_path / "file")
