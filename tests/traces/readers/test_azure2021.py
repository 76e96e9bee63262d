"""Azure Functions Invocation Trace 2021: one row an invocation."""

import numpy as np
import pytest

from sim.errors import TraceError
from tests.traces.trace_files import collect
from traces.open import open_trace


@pytest.fixture
def write(tmp_path):
    def write_rows(*rows, header="app,func,end_timestamp,duration"):
        file = tmp_path / "AzureFunctionsInvocationTrace.txt"
        file.write_text("\n".join([header, *rows]) + "\n")
        return file

    return write_rows


def test_arrival_is_the_end_less_the_duration(write):
    trace = open_trace(write("a,f,100.5,40.25", "a,g,70,0.5", "b,f,61,1"))
    arrivals = collect(trace)
    assert arrivals.at_s.tolist() == [0.0, 0.25, 9.5]
    assert [trace.functions[i].key for i in arrivals.function] == ["b/f", "a/f", "a/g"]
    assert arrivals.duration_s.tolist() == [1, 40.25, 0.5]
    assert (trace.source.format, trace.source.window_s, trace.n_arrivals) == ("azure2021", (60, 120), 3)
    assert {(f.trigger, f.memory_bytes) for f in trace.functions} == {("unknown", None)}


def test_functions_of_two_apps_may_share_a_name(write):
    assert [f.key for f in open_trace(write("b,f,2,1", "a,f,2,1", "b,f,3,1")).functions] == ["b/f", "a/f"]


def test_equal_instants_are_ordered_by_function(write):
    trace = open_trace(write("a,f,9,1", "b,g,2,1", "a,f,2,1"))
    assert collect(trace).function.tolist() == [0, 1, 0]


def test_zero_durations_and_negative_starts_are_clamped_and_counted(write):
    trace = open_trace(write("a,f,1,0", "a,f,1,2", "a,f,2,0"))
    arrivals = collect(trace)
    assert arrivals.at_s.tolist() == [0, 1, 2]
    assert arrivals.duration_s.tolist() == [2, 0.001, 0.001]
    assert trace.source.anomalies == {"negative_start": 1, "zero_duration": 2}
    assert trace.functions[0].mean_s == pytest.approx(2.002 / 3)


def test_columns_may_stand_in_any_order_quoted_with_others_between(write):
    trace = open_trace(write('"0.5",x,"f","2.5",a', header='"duration",p90,func,end_timestamp,app'))
    assert collect(trace).at_s.tolist() == [2.0]
    assert trace.functions[0].key == "a/f"


def test_a_directory_may_hold_it(write, tmp_path):
    write("a,f,2,1")
    assert open_trace(tmp_path).n_arrivals == 1


def test_a_window_is_rebased_and_half_open(write):
    trace = open_trace(write("a,f,61,1", "b,f,119,1", "a,f,121,1", "a,f,181,1"), window="00:01-00:02")
    assert collect(trace).at_s.tolist() == [0, 58]


@pytest.mark.parametrize("window", ["00:00-00:01", "00:02-00:05"])
def test_windows_without_data_are_refused(write, window):
    with pytest.raises(TraceError, match=r"no invocation in the window|reaches beyond the trace"):
        open_trace(write("a,f,121,1"), window=window)


def many(write):
    at_s = np.random.default_rng(0).uniform(0, 3600, 4000)
    return write(*(f"a,f{i % 7},{t + 1.5},1.5" for i, t in enumerate(at_s.tolist())))


def test_thinning_keeps_rows_of_the_trace(write):
    file = many(write)
    some, everything = (collect(open_trace(file, rate_scale=x)).at_s for x in (0.25, 1.0))
    assert set(some) < set(everything)
    assert len(some) == pytest.approx(1000, rel=0.1)


@pytest.mark.parametrize("scale", [1.5, 3.0])
def test_superposition_keeps_the_trace_and_adds_copies_nearby(write, scale):
    file = many(write)
    whole = open_trace(file)
    trace = open_trace(file, rate_scale=scale)
    arrivals = collect(trace)
    assert set(collect(whole).at_s) < set(arrivals.at_s)
    assert len(arrivals.at_s) == pytest.approx(4000 * scale, rel=0.05)
    assert (np.diff(arrivals.at_s) >= 0).all()
    assert arrivals.at_s[-1] < trace.duration_s


def test_copies_stay_within_a_minute(write):
    at_s = collect(open_trace(write("a,f,601,1", "a,f,1201,1"), rate_scale=50)).at_s + 600
    assert len(at_s) == pytest.approx(100, abs=50)
    assert (np.minimum(abs(at_s - 600), abs(at_s - 1200)) <= 60).all()


def test_a_window_sees_the_same_copies(write):
    file = many(write)
    whole = collect(open_trace(file, rate_scale=2.3)).at_s
    part = collect(open_trace(file, rate_scale=2.3, window="00:10-00:20")).at_s
    assert part == pytest.approx(whole[(whole >= 600) & (whole < 1200)] - 600, abs=1e-9)


@pytest.mark.parametrize(("row", "rule"), [("a,f,2,-1", "'-1' must be a finite number, 0 or more"), ("a,f,x,1", "'x'")])
def test_bad_numbers_are_named(write, row, rule):
    with pytest.raises(TraceError, match=rf"row 3, column '(duration|end_timestamp)': {rule}"):
        open_trace(write("a,f,2,1", row))


def test_several_files_in_a_directory_are_counted(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text("app,func,end_timestamp,duration\nx,y,10.0,1.0\n")
    assert open_trace([tmp_path]).source.anomalies == {"files_of_one_directory": 2}
    assert open_trace([tmp_path]).n_arrivals == 2
    assert open_trace([tmp_path / "a.csv"]).source.anomalies == {}
