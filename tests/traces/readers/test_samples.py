"""Genuine excerpts of the public data sets, where they are at hand."""

import csv

import numpy as np
import pytest

from tests.traces.trace_files import collect
from traces.open import open_trace
from traces.writer import write_native


def test_five_hundred_functions_of_2019(sample):
    trace = open_trace(sample("azure2019-500fn"))
    assert trace.source.format == "azure2019"
    assert (len(trace.functions), trace.n_arrivals, trace.duration_s) == (500, 3_037_902, 86_400)
    assert trace.source.anomalies == {"average_not_positive": 13}
    n = np.zeros(500, int)
    last_s = 0.0
    for chunk in trace.chunks():
        assert len(chunk.at_s) <= 200_000
        assert chunk.at_s[0] >= last_s
        assert (np.diff(chunk.at_s) >= 0).all()
        last_s = chunk.at_s[-1]
        n += np.bincount(chunk.function, minlength=500)
    assert n.sum() == 3_037_902
    assert n.max() / n.sum() == pytest.approx(0.631, abs=0.001)


def test_both_layouts_of_the_same_data_are_the_same_trace(sample):
    published, derived = (
        open_trace(sample(name), window="08:00-09:00") for name in ("azure2019-500fn", "azure2019-500fn-invitro")
    )
    assert (published.source.format, derived.source.format) == ("azure2019", "azure2019-invitro")
    one, other = collect(published), collect(derived)
    assert one.at_s.tolist() == other.at_s.tolist()
    assert one.function.tolist() == other.function.tolist()
    assert one.duration_s.tolist() == other.duration_s.tolist()
    for f, g in zip(published.functions, derived.functions, strict=True):
        assert (f.key, f.trigger, f.mean_s) == (g.key, g.trigger, g.mean_s)


def test_the_drawn_durations_have_nearly_the_published_mean(sample):
    """The reason for interpolating logarithms: the total stays within a sixth of what the Averages say."""
    trace = open_trace(sample("azure2019-500fn"), window="08:00-10:00")
    arrivals = collect(trace)
    published_s = np.array([f.mean_s for f in trace.functions])[arrivals.function].sum()
    assert 0.9 < arrivals.duration_s.sum() / published_s < 1.17


def test_a_derived_slice_covers_its_own_minutes(sample):
    trace = open_trace(sample("azure2019-500fn-invitro"))
    assert trace.source.window_s == (479 * 60, 959 * 60)
    assert trace.n_arrivals == 3_037_902


def test_a_whole_day_without_other_tables(sample):
    trace = open_trace(sample("azure2019-8fn-fullday/test_workload.csv"))
    assert (len(trace.functions), trace.n_arrivals) == (9, 1061)
    assert trace.source.anomalies["function_without_durations"] == 9


def test_two_hundred_rows_of_2021(sample):
    trace = open_trace(sample("azure2021-199rows/Azure2021_200.csv"))
    assert (len(trace.functions), trace.n_arrivals) == (31, 199)
    assert trace.source.anomalies == {"zero_duration": 8}
    assert len({f.app for f in trace.functions}) == 13
    assert collect(trace).at_s[0] == pytest.approx(0.0015, abs=1e-4)


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return [{name.strip(): cell for name, cell in row.items()} for row in csv.DictReader(file)]


def of_minutes(path):
    return sum(int(cell) for row in rows(path) for name, cell in row.items() if name.isdecimal())


def of_rows(path):
    return len(rows(path))


def of_invocations(path):
    return sum(int(row["Invocations"]) for row in rows(path))


def of_words(path):
    return sum(map(int, path.read_text().split()))


TOTALS = [
    ("azure2019", "azure2019-500fn", "invocations_per_function_md.anon.d01.csv", of_minutes),
    ("azure2019-invitro", "azure2019-500fn-invitro", "invocations.csv", of_minutes),
    ("azure2019", "azure2019-8fn-fullday/test_workload.csv", "", of_minutes),
    ("azure2019", "azure2019-8fn-fullday/integration_data.csv", "", of_minutes),
    ("azure2021", "azure2021-199rows/Azure2021_200.csv", "", of_rows),
    ("azure2021", "azure2021-199rows/Azure2021_30.csv", "", of_rows),
    ("azure2021", "azure2021-199rows", "*.csv", of_rows),
    ("azure-llm", "azure-llm-2023/AzureLLMInferenceTrace_code.csv", "", of_rows),
    ("azure-llm", "azure-llm-2023", "*.csv", of_rows),
    ("opendc", "opendc-serverless", "*.csv", of_invocations),
    ("plain-counts", "streambox-loads/bursty-load.txt", "", of_words),
    ("plain-counts", "streambox-loads", "*-load.txt", of_words),
]


@pytest.mark.parametrize(("format", "name", "pattern", "total"), TOTALS, ids=[name for _, name, _, _ in TOTALS])
def test_totals_read_are_the_totals_in_the_files(sample, format, name, pattern, total):
    path = sample(name)
    trace = open_trace(path)
    assert trace.source.format == format
    n = sum(len(chunk.at_s) for chunk in trace.chunks())
    assert n == trace.n_arrivals == sum(map(total, path.glob(pattern) if pattern else [path])) > 0


@pytest.mark.parametrize(
    "name", ["azure2019-500fn-invitro", "azure2021-199rows", "azure-llm-2023", "opendc-serverless"]
)
def test_converted_samples_have_the_same_arrivals(sample, tmp_path, name):
    trace = open_trace(sample(name), window="08:00-08:10" if "2019" in name else None)
    write_native(trace, tmp_path / "x.parquet")
    again = open_trace(tmp_path / "x.parquet")
    one, other = collect(trace), collect(again)
    assert one.at_s.tolist() == other.at_s.tolist()
    assert one.function.tolist() == other.function.tolist()
    assert one.duration_s.tolist() == other.duration_s.tolist()
    assert [(f.key, f.memory_bytes) for f in trace.functions] == [(f.key, f.memory_bytes) for f in again.functions]
    assert again.duration_s == trace.duration_s


def test_the_published_statistics_of_the_llm_sample_are_read(sample):
    code, conv = (open_trace(sample(f"azure-llm-2023/AzureLLMInferenceTrace_{name}.csv")) for name in ("code", "conv"))
    assert (code.n_arrivals, conv.n_arrivals) == (8_819, 19_366)
    at_s = collect(code).at_s
    assert at_s[-1] - at_s[0] == pytest.approx(3435.9, abs=0.1)
    gaps_s = np.diff(at_s)
    assert gaps_s.std() / gaps_s.mean() == pytest.approx(13.15, abs=0.01)
