"""Representative samples of functions."""

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ks_2samp, wasserstein_distance

from sim.domain import ArrivalChunk, TraceFunction, TraceSource
from sim.errors import TraceError
from tests.traces.trace_files import collect
from traces.cli import main
from traces.open import open_trace
from traces.sample.choose import sample as sample_of
from traces.sample.distances import DISTANCES, Yardstick, profile

DAY_S = 86_400.0


@dataclass
class Arrivals:
    """A trace with these arrivals."""

    at_s: np.ndarray
    function: np.ndarray
    length_s: np.ndarray
    duration_s: float = DAY_S
    functions: list = field(init=False)

    def __post_init__(self):
        n = self.function.max() + 1
        mean_s = np.bincount(self.function, self.length_s) / np.bincount(self.function)
        self.functions = [
            TraceFunction(f"a{i}/f", f"a{i}", "http", float(mean_s[i]), 2**20 * (i + 1), 1.0) for i in range(n)
        ]
        self.source = TraceSource("made", (), (0.0, self.duration_s), {"seed": 3})
        self.n_arrivals = len(self.at_s)

    def chunks(self):
        for start in range(0, len(self.at_s), 1000):
            part = slice(start, start + 1000)
            yield ArrivalChunk(self.at_s[part], self.function[part], self.length_s[part])


def arrivals(counts, rng, means_s=None):
    """A trace of functions with these counts, most of the day in its second half, and varied durations."""
    function = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    at_s = np.sort(DAY_S * np.sqrt(rng.random(len(function))))
    function = rng.permutation(function)
    means_s = rng.lognormal(-1, 2, len(counts)) if means_s is None else np.asarray(means_s)
    return Arrivals(at_s, function, means_s[function] * rng.lognormal(0, 0.3, len(function)))


@pytest.fixture(scope="module")
def skewed():
    """300 functions of which one has most invocations."""
    rng = np.random.default_rng(1)
    return arrivals([60_000, *np.unique(np.ceil(rng.pareto(0.8, 3000) * 10).astype(int))[:299]], rng)


@pytest.fixture(scope="module")
def thirty(skewed):
    """A sample of 30 of them, with seed 0."""
    return sample_of(skewed, 30)


def measured(trace, chosen, kept_frac=None):
    return Yardstick(profile(trace)).distances(
        np.array(chosen), np.ones(len(chosen)) if kept_frac is None else np.array(kept_frac)
    )


def test_the_whole_is_at_no_distance_from_itself(skewed):
    assert set(measured(skewed, range(300))) == set(DISTANCES)
    assert max(measured(skewed, range(300)).values()) < 1e-12


@pytest.mark.parametrize("seed", range(5))
def test_distances_between_distributions_are_those_of_scipy(skewed, seed):
    rng = np.random.default_rng(seed)
    chosen = rng.choice(300, 20, replace=False)
    kept_frac = rng.choice([1.0, 0.3], 20)
    found = measured(skewed, chosen, kept_frac)
    counts = np.bincount(skewed.function)
    assert found["popularity_ks"] == pytest.approx(ks_2samp(counts[chosen] * kept_frac, counts).statistic)
    ln_mean = np.log([f.mean_s for f in skewed.functions])
    assert found["duration_of_functions_ln"] == pytest.approx(wasserstein_distance(ln_mean[chosen], ln_mean))
    ln = np.log(skewed.length_s)
    weight = np.zeros(300)
    weight[chosen] = kept_frac
    exact = wasserstein_distance(ln, ln, weight[skewed.function])
    assert found["duration_of_invocations_ln"] == pytest.approx(exact, abs=0.01)  # counted in bins of 0.1


def test_popularity_is_compared_as_distributions_with_ties():
    trace = arrivals([1, 1, 1, 5, 5, 9], np.random.default_rng(0))
    assert measured(trace, [0, 3])["popularity_ks"] == pytest.approx(1 / 6)
    assert measured(trace, [0, 1])["popularity_ks"] == pytest.approx(1 / 2)
    assert measured(trace, [5])["popularity_ks"] == pytest.approx(5 / 6)


def test_the_mean_rate_is_compared_by_function():
    trace = arrivals([10, 20, 30, 100], np.random.default_rng(0))
    assert measured(trace, [0, 1])["mean_rate_frac"] == pytest.approx(1 - 15 / 40)
    assert measured(trace, [3])["mean_rate_frac"] == pytest.approx(1.5)
    assert measured(trace, [3], [0.4])["mean_rate_frac"] == pytest.approx(0)


def test_the_load_is_compared_by_function():
    two = Arrivals(np.arange(4.0), np.array([0, 0, 0, 1], np.int32), np.array([1.0, 1.0, 1.0, 5.0]))
    assert measured(two, [1])["mean_load_frac"] == pytest.approx(5 / 4 - 1)
    assert measured(two, [0])["mean_load_frac"] == pytest.approx(1 - 3 / 4)


def test_the_skew_is_compared_at_the_shares_of_the_sample():
    trace = arrivals([10, 20, 30, 40], np.random.default_rng(0))  # the top half has 70%
    assert measured(trace, [0, 3])["popularity_share_frac"] == pytest.approx(0.8 - 0.7)
    assert measured(trace, [0, 3], [1, 0.25])["popularity_share_frac"] == pytest.approx(0.7 - 0.5)


def test_the_rate_is_compared_by_its_shape():
    half = DAY_S / 2
    at_s = np.array([1.0, 2.0, 3.0, half, half + 1, half + 2])
    trace = Arrivals(at_s, np.array([0, 0, 0, 1, 1, 1], np.int32), np.ones(6))
    assert measured(trace, [0])["rate_shape_frac"] == pytest.approx(0.5)
    assert measured(trace, [0, 1])["rate_shape_frac"] == pytest.approx(0)


def test_what_is_counted_does_not_grow_with_the_invocations(skewed):
    counted = profile(skewed)
    assert counted.invocations.tolist() == np.bincount(skewed.function).tolist()
    assert (counted.over_time.sum(), counted.over_ln_duration.sum()) == (skewed.n_arrivals, skewed.n_arrivals)
    assert counted.busy_s.sum() == pytest.approx(skewed.length_s.sum())
    assert sum(array.nbytes for array in vars(counted).values()) <= 1200 * 300


def test_a_short_trace_with_extreme_durations_is_counted_whole():
    trace = Arrivals(np.array([0.0, 30.0, 89.9]), np.array([0, 0, 0], np.int32), np.array([1e-5, 1.0, 1e9]), 90.0)
    counted = profile(trace)
    assert counted.over_time.tolist() == [[2, 1]]
    assert counted.over_ln_duration.sum() == 3
    assert counted.over_ln_duration[0, [0, -1]].tolist() == [1, 1]


def test_a_sample_is_nearer_than_a_uniform_one_in_everything(thirty):
    assert len(thirty.functions) == 30
    for name, distance in thirty.distances.items():
        assert distance < 0.8 * thirty.uniform_distances[name], name
    assert thirty.distances["mean_rate_frac"] < 0.05
    assert thirty.distances["popularity_share_frac"] < 0.05


def test_there_is_one_function_of_every_slice_of_popularity(skewed, thirty):
    counts = np.bincount(skewed.function)
    rank = np.argsort(np.argsort(counts, kind="stable"), kind="stable")
    assert sorted(rank[thirty.chosen] // 10) == list(range(30))
    assert (np.diff(thirty.chosen) > 0).all()


def test_the_sample_has_the_arrivals_of_its_functions(skewed, thirty):
    own = collect(thirty)
    assert thirty.functions == [
        replace(skewed.functions[i], n_invocations=kept)
        for i, kept in zip(thirty.chosen, thirty.kept_frac, strict=True)
    ]
    assert (np.diff(own.at_s) >= 0).all()
    assert (thirty.kept_frac < 1).sum() == 1
    for i, (whole, kept) in enumerate(zip(thirty.chosen, thirty.kept_frac, strict=True)):
        at_s = own.at_s[own.function == i]
        at_s_in_whole = skewed.at_s[skewed.function == whole]
        if kept == 1:
            assert at_s.tolist() == at_s_in_whole.tolist()
            assert own.duration_s[own.function == i].tolist() == skewed.length_s[skewed.function == whole].tolist()
        else:
            assert set(at_s) < set(at_s_in_whole)
            expected = kept * len(at_s_in_whole)
            assert abs(len(at_s) - expected) < 5 * np.sqrt(expected)


def test_only_a_function_above_twice_the_mean_of_its_slice_is_thinned():
    rng = np.random.default_rng(0)
    for counts, kept_frac in (([10, 10, 39], 1.0), ([10, 10, 41], 61 / 3 / 41)):
        trace = arrivals([1, 1, 1, *counts], rng, means_s=[*[1e-3] * 5, 1000])
        sample = sample_of(trace, 2)
        assert sample.chosen[1] == 5  # it has nearly all the load
        assert sample.kept_frac == pytest.approx([1, kept_frac])


def test_all_functions_are_the_trace_itself(skewed):
    sample = sample_of(skewed, 300)
    assert (sample.kept_frac == 1).all()
    assert max(sample.distances.values()) < 1e-12
    assert sample.n_arrivals == skewed.n_arrivals
    assert collect(sample).at_s.tolist() == skewed.at_s.tolist()
    assert collect(sample).function.tolist() == skewed.function.tolist()


def test_a_seed_gives_the_same_sample_and_another_one_another(skewed, thirty):
    one, same, other = thirty, sample_of(skewed, 30, 0), sample_of(skewed, 30, 1)
    assert one.chosen.tolist() == same.chosen.tolist() != other.chosen.tolist()
    assert one.uniform_distances == same.uniform_distances != other.uniform_distances
    assert collect(one).at_s.tolist() == collect(same).at_s.tolist() == collect(one).at_s.tolist()


def test_the_source_says_what_was_sampled(thirty):
    source = thirty.source
    assert source.options == {"seed": 3, "sample_functions": 30, "sample_seed": 0}
    assert (source.format, source.window_s) == ("made", (0.0, DAY_S))


@pytest.mark.parametrize(
    ("n", "seed", "message"),
    [(0, 0, "functions 0: must be 1 to 300"), (301, 0, "functions 301: must be 1 to 300"), (3, -1, "seed -1: must be")],
)
def test_what_cannot_be_sampled_is_refused(skewed, n, seed, message):
    with pytest.raises(TraceError, match=message):
        sample_of(skewed, n, seed)


@pytest.mark.parametrize("seed", range(2))
def test_fifty_of_the_five_hundred_functions_of_2019(sample, seed):
    chosen = sample_of(open_trace(sample("azure2019-500fn")), 50, seed)
    limits = {
        "mean_rate_frac": 0.02,
        "mean_load_frac": 0.15,
        "popularity_ks": 0.02,
        "popularity_share_frac": 0.02,
        "rate_shape_frac": 0.04,
        "duration_of_functions_ln": 0.2,
        "duration_of_invocations_ln": 0.4,
    }
    for name, distance in chosen.distances.items():
        assert distance < limits[name], name
        assert distance < chosen.uniform_distances[name], name
    assert (chosen.kept_frac < 1).sum() <= 1  # the function with 63% of all invocations


def test_a_trace_that_draws_no_arrival_is_refused(skewed, monkeypatch):
    monkeypatch.setattr(skewed, "chunks", lambda: iter([]))
    with pytest.raises(TraceError, match="no invocation at all"):
        sample_of(skewed, 30)


def run(capsys, *args, code=0):
    with pytest.raises(SystemExit) as exit:
        main(["sample", *(str(arg) for arg in args)])
    printed = capsys.readouterr()
    assert exit.value.code == code, printed.err
    return printed


@pytest.fixture
def file(tmp_path):
    """Where to write: not into the directory of the trace."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "sample.parquet"


@pytest.fixture
def day(azure2019):
    """Eight functions, one of them far ahead."""
    return azure2019.day(*((f"a{i}/f", {1: i + 1, 1000: 1}) for i in range(7)), ("a7/f", {1: 500, 2: 500}))


def test_the_command_writes_a_trace_and_tells_its_distances(capsys, day, file):
    figures = json.loads(run(capsys, day, "--functions", 4, "-o", file, "--json").out)
    assert (figures["functions"], figures["of_functions"], figures["of_invocations"]) == (4, 8, 1035)
    assert figures["file"] == str(file)
    assert set(figures["distances"]) == set(DISTANCES)
    assert all(set(pair) == {"sample", "uniform"} for pair in figures["distances"].values())
    written = open_trace(file)
    assert (len(written.functions), written.n_arrivals, written.duration_s) == (4, figures["invocations"], DAY_S)
    assert set(figures["kept_frac"]) <= {function.key for function in written.functions}
    assert all(function.memory_bytes == 64 * 2**20 for function in written.functions)


def test_the_command_samples_what_the_options_make_of_the_trace(capsys, day, file):
    options = {"window": "00:00-00:02", "placement": "start", "rate_scale": 1.5, "seed": 3}
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
    run(capsys, day, "--functions", 8, "-o", file, *words)
    one, other = collect(open_trace(file)), collect(open_trace(day, **options))
    assert one.at_s.tolist() == other.at_s.tolist()
    assert one.duration_s.tolist() == other.duration_s.tolist()


def test_the_command_prints_a_table(capsys, day, file):
    printed = run(capsys, day, "--functions", 2, "-o", file).out
    assert "2 of 8 functions, " in printed
    assert " of 1,035 invocations\n" in printed
    assert all(meaning in printed for meaning in DISTANCES.values())


def test_the_command_replaces_a_file_only_when_told(capsys, day, file):
    file.write_text("mine")
    assert "--force" in run(capsys, day, "--functions", 2, "-o", file, code=2).err
    assert "replaces only what it wrote itself" in run(capsys, day, "--functions", 2, "-o", file, "--force", code=2).err
    assert file.read_text() == "mine"
    file.unlink()
    run(capsys, day, "--functions", 3, "-o", file)
    run(capsys, day, "--functions", 2, "-o", file, "--force")
    assert len(open_trace(file).functions) == 2


def test_too_many_functions_are_an_error_of_the_user(capsys, day, file):
    assert "must be 1 to 8" in run(capsys, day, "--functions", 9, "-o", file, code=2).err
    assert not file.exists()


def test_the_page_explains_every_distance():
    page = (Path(__file__).parents[3] / "docs" / "howto" / "get-a-trace.md").read_text("utf-8")
    explained, measured_ = page.split("### How near it is")[1].split("Measured on")
    for part in (explained, measured_):
        assert re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE) == list(DISTANCES)
