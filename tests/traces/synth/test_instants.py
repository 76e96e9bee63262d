"""Traces of arrival patterns, and the ``traces synth`` command."""

import numpy as np
import pytest
from click.testing import CliRunner

from sim.errors import TraceError
from tests.traces.trace_files import collect
from traces.cli import main
from traces.open import open_trace
from traces.synth.files import MARK
from traces.synth.instants import write_pattern
from traces.synth.patterns import Bursty, Gamma, Poisson, Sporadic
from traces.synth.population import draw_population


@pytest.fixture(scope="module")
def bursts(tmp_path_factory):
    path = tmp_path_factory.mktemp("bursts")
    write_pattern(path, pattern=Bursty(), n_functions=50, minutes=600, rate_per_s=20.0, seed=2)
    return open_trace(path)


def test_it_is_a_native_trace_of_the_pattern(bursts):
    arrivals = collect(bursts)
    assert (bursts.source.format, bursts.source.window_s, bursts.source.anomalies) == ("native", (0, 36_000), {})
    expected = np.concatenate(list(Bursty().instants(np.random.default_rng([2, 5, 0]), 20.0, 36_000.0)))
    assert arrivals.at_s.tolist() == expected.tolist()
    assert min(f.memory_bytes for f in bursts.functions) > 0


def test_functions_have_the_popularity_of_the_same_minute_trace(bursts):
    population = draw_population(50, 600, 20.0, 2)
    arrivals = collect(bursts)
    share = np.sort(np.bincount(arrivals.function))[::-1] / len(arrivals.at_s)
    expected = np.sort(population.expected)[::-1] / population.expected.sum()
    assert share[:5] == pytest.approx(expected[:5], rel=0.05)


def test_all_functions_burst_together(bursts):
    arrivals = collect(bursts)
    first, second = np.argsort(np.bincount(arrivals.function))[::-1][:2]
    one, two = (
        np.bincount((arrivals.at_s[arrivals.function == f] / 60).astype(int), minlength=600) for f in (first, second)
    )
    assert np.corrcoef(one, two)[0, 1] > 0.5


def test_durations_are_those_of_the_functions(tmp_path):
    write_pattern(tmp_path, pattern=Poisson(), n_functions=10, minutes=60, rate_per_s=50.0, service="llm")
    trace = open_trace(tmp_path)
    assert {f.name for f in tmp_path.iterdir()} == {"arrivals.parquet", "load_times.csv", MARK}
    assert 0.1 < np.median(collect(trace).duration_s) < 30
    assert min(f.memory_bytes for f in trace.functions) > 10e9


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    first, again, other = (
        write_pattern(tmp_path / name, pattern=Gamma(), seed=seed)[0].read_bytes()
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first == again != other


def test_a_trace_without_an_arrival_is_refused(tmp_path):
    with pytest.raises(TraceError, match=r"arrivals Sporadic\(cv=1000\.0\): none in 1 min"):
        write_pattern(tmp_path, pattern=Sporadic(1000.0), n_functions=1, minutes=1, rate_per_s=1.0)
    assert list(tmp_path.iterdir()) == []


def test_one_kind_of_trace_replaces_the_other(tmp_path):
    run = CliRunner()
    words = ["synth", "-o", str(tmp_path), "--functions", "5"]
    assert run.invoke(main, words).exit_code == 0
    words += ["--arrivals", "poisson"]
    assert run.invoke(main, words).exit_code == 2
    assert run.invoke(main, [*words, "--force"]).output == f"{tmp_path}/arrivals.parquet\n"
    refused = run.invoke(main, words)
    assert "arrivals.parquet: is there already; --force replaces the trace if it is a synthetic one" in refused.output
    assert refused.exit_code == 2
    assert {f.name for f in tmp_path.iterdir()} == {"arrivals.parquet", MARK}


def test_the_command_compares_and_draws(tmp_path):
    words = ["synth", "-o", str(tmp_path / "t"), "--minutes", "1440", "--functions", "300", "--compare"]
    result = CliRunner().invoke(main, [*words, "--plot", str(tmp_path / "t.png")])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[-1] == str(tmp_path / "t.png")
    assert lines[3].split() == ["published", "synthetic", "tolerance"]
    assert lines[4].split()[-3:-1][0] == "0.328"
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("option", [["--defects"], ["--compare"], ["--plot", "a.png"]])
def test_what_is_about_the_published_tables_needs_them(tmp_path, option):
    result = CliRunner().invoke(main, ["synth", "-o", str(tmp_path), "--arrivals", "poisson", *option])
    assert result.exit_code == 2
    assert "need --arrivals azure" in result.output


def test_a_figure_is_refused_before_the_work(tmp_path):
    result = CliRunner().invoke(main, ["synth", "-o", str(tmp_path / "t"), "--plot", "figure.gif"])
    assert result.exit_code == 2
    assert "must end in .png, .pdf, .svg" in result.output
    assert not (tmp_path / "t").exists()


def test_a_pattern_that_isnt_one_is_refused(tmp_path):
    result = CliRunner().invoke(main, ["synth", "-o", str(tmp_path), "--arrivals", "gamma[k=1]"])
    assert result.exit_code == 2
    assert result.output.startswith("Error: arrivals 'gamma[k=1]': gamma takes cv")
