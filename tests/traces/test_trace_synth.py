"""The synthetic trace: the published layout, the same bytes for the same seed, and the published statistics."""

import math

import numpy as np
import pytest
from scipy import stats
from trace_files import collect

from sim.errors import TraceError
from traces import synth_facts as facts
from traces.open import open_trace
from traces.readers.daily_files import Role
from traces.synth import write_azure2019


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    """A day of 2000 functions."""
    path = tmp_path_factory.mktemp("synth")
    write_azure2019(path, n_functions=2000, minutes=1440, rate_per_s=300, seed=3)
    return path


@pytest.fixture(scope="module")
def counts(big):
    """Trigger and counts of each function, from the file itself."""
    lines = (big / Role.INVOCATIONS.published_name(1)).read_text().splitlines()[1:]
    rows = [line.split(",") for line in lines]
    return np.array([row[3] for row in rows]), np.array([row[4:] for row in rows], int)


def test_it_is_in_the_published_layout(tmp_path):
    files = write_azure2019(tmp_path / "demo")
    trace = open_trace(tmp_path / "demo", window="00:00-01:00")
    assert sorted(files) == sorted((tmp_path / "demo").iterdir())
    assert trace.source.format == "azure2019"
    assert trace.source.anomalies == {}
    assert len(trace.functions) == 100
    assert trace.n_arrivals / 3600 == pytest.approx(30, rel=0.1)
    assert all(len(part) == 64 and int(part, 16) >= 0 for f in trace.functions for part in f.key.split("/"))


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


@pytest.mark.parametrize(("n_functions", "minutes", "rate_per_s"), [(1, 1, 0.1), (5, 1440, 0.01), (300, 2, 40.0)])
def test_every_function_is_invoked(tmp_path, n_functions, minutes, rate_per_s):
    write_azure2019(tmp_path, n_functions=n_functions, minutes=minutes, rate_per_s=rate_per_s)
    trace = open_trace(tmp_path)
    assert len(trace.functions) == n_functions
    assert trace.n_arrivals >= n_functions


def test_timers_have_exact_periods(counts):
    trigger, cells = counts
    timers = cells[trigger == "timer"]
    assert len({int(np.flatnonzero(row)[0]) for row in timers}) > 10
    for row in timers:
        fired = np.flatnonzero(row)
        assert set(row) <= {0, 1}
        assert len(set(np.diff(fired))) <= 1
        assert len(fired) < 2 or fired[1] - fired[0] in facts.TIMER_PERIOD_SHARE


def test_the_rate_is_met_and_skewed(counts):
    """ATC: the top 1 % of functions have 91 %, the released subset 93 %; the top 10 % have 99.5 %."""
    _, cells = counts
    total = np.sort(cells.sum(axis=1))[::-1]
    assert total.sum() / 86_400 == pytest.approx(300, rel=0.05)
    assert 0.75 < total[:20].sum() / total.sum() < 0.97
    assert total[:200].sum() / total.sum() > 0.96


def test_counts_are_as_bursty_as_published(counts):
    trigger, cells = counts
    for name in ("http", "queue"):
        mean = cells.mean(axis=1)
        rows = cells[(trigger == name) & (mean > 1) & (mean < 20)]  # above, the daily cycle adds to the variance
        ratio = np.median(rows.var(axis=1) / rows.mean(axis=1))
        assert ratio == pytest.approx(facts.VARIANCE_TO_MEAN[name], rel=0.2)


def test_triggers_are_as_published(counts):
    """ATC: 55.0 % of functions are http; the recipe's apps of several triggers shift it."""
    trigger, _ = counts
    assert np.mean(trigger == "http") == pytest.approx(0.55, abs=0.1)
    assert np.mean(trigger == "timer") == pytest.approx(0.17, abs=0.06)


def test_durations_and_memory_are_as_published(big):
    trace = open_trace(big)
    log_mean = np.log([f.mean_s for f in trace.functions])
    assert np.median(log_mean) == pytest.approx(facts.DURATION_MU, abs=0.2)
    assert log_mean.std() == pytest.approx(facts.DURATION_SIGMA, rel=0.1)
    n = np.bincount(collect(open_trace(big, rate_scale=0.05)).function)
    mean_s = [f.mean_s for f in open_trace(big, rate_scale=0.05).functions]
    assert stats.spearmanr(n, mean_s).statistic < -0.15
    n_of_app = {}
    for f in trace.functions:
        n_of_app[f.app] = n_of_app.get(f.app, 0) + 1
    app_mb = {f.app: f.memory_bytes * n_of_app[f.app] / 2**20 for f in trace.functions}
    assert np.median(list(app_mb.values())) == pytest.approx(140, rel=0.1)
    assert np.mean([n == 1 for n in n_of_app.values()]) == pytest.approx(0.54, abs=0.08)


def test_the_means_of_drawn_durations_are_near_the_averages(big):
    trace = open_trace(big, window="00:00-02:00")
    arrivals = collect(trace)
    expected_s = np.array([f.mean_s for f in trace.functions])[arrivals.function].sum()
    assert arrivals.duration_s.sum() / expected_s == pytest.approx(1.1, abs=0.2)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"n_functions": 0}, "functions 0: must be 1 or more"),
        ({"minutes": 0}, "minutes 0: must be 1 to 1440"),
        ({"minutes": 1441}, "minutes 1441"),
        ({"rate_per_s": 0.01}, "rate 0.01: must be 0.0278 or more"),
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
    with pytest.raises(TraceError, match="is there already"):
        write_azure2019(tmp_path, seed=2)
    assert [file.read_bytes() for file in files] == before
    write_azure2019(tmp_path, seed=2, overwrite=True)
    assert [file.read_bytes() for file in files] != before


@pytest.mark.parametrize("n_before", [0, 1, 2])
def test_an_interrupted_call_leaves_no_trace(tmp_path, monkeypatch, n_before):
    """Whichever rename is the last that happens, what is left isn't read as a trace."""
    import os

    write_azure2019(tmp_path, seed=1)
    renames = iter([os.replace] * n_before)

    def replace(source, target):
        next(renames, interrupt)(source, target)

    def interrupt(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr("traces.synth.os.replace", replace)
    with pytest.raises(KeyboardInterrupt):
        write_azure2019(tmp_path, seed=2, overwrite=True)
    with pytest.raises(TraceError, match=r"no invocations table|no trace file"):
        open_trace(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} <= {".csv"}


def test_a_path_that_cant_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TraceError, match="can't be written"):
        write_azure2019(tmp_path / "file")
