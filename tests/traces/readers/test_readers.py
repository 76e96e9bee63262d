"""Readers of data sets with small layouts. But for the LLM, OpenDC and StreamBox ones no genuine file is at hand."""

import numpy as np
import pytest

from sim.errors import TraceError
from tests.traces.trace_files import collect
from traces.arrivals.durations import DEFAULT_S
from traces.llm_facts import service_s
from traces.open import open_trace
from traces.readers.llm import DEPLOYMENT

MIB = 2**20
LLM = "TIMESTAMP,ContextTokens,GeneratedTokens"
GENAI = "gmt_create,predict_type,predict_status,exec_time_seconds,groupId,checkpoint_model_version_id,num_lora"
PODS = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time"
OPENDC = (
    "Timestamp [ms],Invocations, Avg Exec time per Invocation,Provisioned CPU [Mhz],Provisioned Memory [mb],"
    " Avg cpu usage per Invocation [Mhz], Avg mem usage per Invocation [mb],name"
)
REQUESTS = "time_worker,time_frontend,requestID,clusterName,funcName,podID,userID,totalCost_worker,runtimeCost"


@pytest.fixture
def write(tmp_path):
    """Writes lines to a file, by default with a name that says nothing."""

    def write_lines(*lines, name="x.csv", end="\n"):
        file = tmp_path / name
        file.write_bytes(end.join([*lines, ""]).encode())
        return file

    return write_lines


def refused(file, match):
    with pytest.raises(TraceError, match=match) as caught:
        open_trace(file)
    assert str(file) in str(caught.value)


# Azure LLM


def test_llm_rows_are_requests_of_the_service_that_the_file_is(write, tmp_path):
    file = write(LLM, "2023-11-16 18:17:03.9799600,4096,2", "2023-11-16 18:17:04.5,64,1", end="\r\n")
    file.write_bytes(file.read_bytes().rstrip())  # as published: CRLF, and no end of the last line
    trace = open_trace(file)
    day_s = 18 * 3600 + 17 * 60
    assert (trace.source.format, trace.source.window_s) == ("azure-llm", (day_s, day_s + 60))
    arrivals = collect(trace)
    assert arrivals.at_s.tolist() == pytest.approx([3.97996, 4.5], abs=1e-9)
    assert arrivals.duration_s.tolist() == pytest.approx([0.6612 + 0.045, 0.0653])
    assert [(f.key, f.app, f.memory_bytes) for f in trace.functions] == [("x", "x", None)]


@pytest.mark.parametrize(
    "stamp",
    [
        "2024-05-10 00:00:01+00:00",
        "2024-05-10 00:00:01.000000+00:00",
        "2024-05-10T00:00:01.000Z",
        "2024-05-10 00:00:01",
    ],
)
def test_stamps_of_all_years_are_read_beside_each_other(write, stamp):
    trace = open_trace(write(LLM, "2024-05-10 00:00:00.009930+00:00,1,1", f"{stamp},1,1"))
    assert collect(trace).at_s.tolist() == pytest.approx([0.00993, 1])


def test_zones_are_heeded(write):
    trace = open_trace(write(LLM, "2024-05-10 00:30:00+01:00,1,1", "2024-05-09 23:31:00+00:00,1,1"))
    assert trace.source.window_s == (84_600, 84_720)
    assert collect(trace).at_s.tolist() == [0, 60]


def test_services_share_the_clock_of_the_earliest_day(write, tmp_path):
    write(LLM, "2024-05-12 00:00:00,1,1", name="conv.csv")
    write(LLM, "2024-05-10 12:00:00,1,1", "2024-05-10 11:00:00,1,1", name="code.csv")
    trace = open_trace(tmp_path)
    assert trace.source.window_s == (11 * 3600, 48 * 3600 + 60)
    arrivals = collect(trace)
    assert arrivals.at_s.tolist() == [0, 3600, 37 * 3600]
    assert [trace.functions[i].key for i in arrivals.function] == ["code", "code", "conv"]


def test_a_service_and_its_copy_are_refused(write, tmp_path):
    write(LLM, "2024-05-12 00:00:00,1,1", name="conv.csv")
    write(LLM, "2024-05-12 00:00:00,1,1", name="conv.copy.csv")
    with pytest.raises(TraceError, match=r"conv.csv: is a second file named 'conv'"):
        open_trace(tmp_path)


def test_images_are_counted_and_not_charged(write):
    trace = open_trace(write("TIMESTAMP,NumImages,ContextTokens,GeneratedTokens", "2024-10-15T12:00:00.269Z,2,128,1"))
    assert trace.source.anomalies == {"image_inputs_unused": 1}
    assert collect(trace).duration_s.tolist() == pytest.approx([0.0653])


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ("2023-02-30 00:00:00,1,1", "column 'TIMESTAMP': '2023-02-30 00:00:00' must be a date and time"),
        ("1969-12-31 23:59:59,1,1", "column 'TIMESTAMP': '1969-12-31 23:59:59' must be"),
        ("2300-01-01 00:00:00,1,1", "column 'TIMESTAMP': '2300-01-01 00:00:00' must be"),
        (",1,1", "column 'TIMESTAMP': '' must be"),
        ("2023-02-03 00:00:00,-1,1", "column 'ContextTokens': '-1' must be a whole number"),
        ("2023-02-03 00:00:00,1,1.5", "column 'GeneratedTokens': '1.5' must be a whole number"),
    ],
)
def test_bad_requests_are_named(write, row, match):
    refused(write(LLM, "2023-02-03 00:00:00,1,1", row), f"row 3, {match}")


def test_longer_prompts_and_answers_take_longer():
    tokens = np.array([1.0, 128, 1000, 8192, 20_000])
    first_s = service_s(DEPLOYMENT, tokens, np.ones(5))
    assert (np.diff(first_s) >= 0).all()
    assert first_s[-1] > 3
    answers_s = service_s(DEPLOYMENT, np.full(3, 128.0), np.array([0.0, 1, 11]))
    assert np.diff(answers_s).tolist() == pytest.approx([0, 0.45])


# Alibaba


def test_requests_for_images_are_those_of_their_base_model(write):
    rows = [
        "2025-01-02 00:00:05,txt2img,SUCCEED,23.5,7,m1,0",
        "2025-01-01 23:59:59,txt2img,FAILED,1,7,m2,1",
        "2025-01-02 00:00:05,txt2img,PENDING,0,7,,0",
        "2025-01-02 00:00:06,img2img,PROCESSING,2,8,m1,0",
    ]
    trace = open_trace(write(GENAI, *rows))
    arrivals = collect(trace)
    assert arrivals.at_s.tolist() == [59, 65, 65, 66]
    assert [trace.functions[i].key for i in arrivals.function] == ["m2", "m1", "unknown", "m1"]
    assert arrivals.duration_s.tolist() == [1, 23.5, 0.001, 2]
    assert trace.source.anomalies == {
        "model_id_empty": 1,
        "request_failed": 1,
        "request_unfinished": 2,
        "zero_duration": 1,
    }


def test_an_unknown_status_is_named(write):
    file = write(GENAI, "2025-01-02 00:00:05,t,SUCCEED,1,7,m1,0", "2025-01-02 00:00:05,t,LOST,1,7,m1,0")
    refused(file, "data row 2, column 'predict_status': 'LOST' must be one of SUCCEED, FAILED, PENDING, PROCESSING")


def test_pods_are_invocations_of_what_asks_for_the_same(write):
    rows = [
        "p0,12000,16384,1,1000,,LS,Running,0,12537496,0",
        "p1,12000,16384,1,1000,,LS,Succeeded,50,150,60.0",
        "p2,8000,32768,1,460,V100M16|V100M32,BE,Pending,60,70,",
        "p3,8000,32768,0,0,,BE,Failed,70,70,70",
        "p4,8000,32768,0,0,,BE,Failed,80,70,75",
    ]
    trace = open_trace(write(PODS, *rows))
    arrivals = collect(trace)
    assert arrivals.at_s.tolist() == [0, 50, 70, 80]
    assert arrivals.duration_s.tolist() == [12_537_496, 90, 0.001, 0.001]
    assert [(f.key, f.app, f.memory_bytes) for f in trace.functions] == [
        ("LS/12000-16384-1-1000-", "LS", 16384 * MIB),
        ("BE/8000-32768-0-0-", "BE", 32768 * MIB),
    ]
    assert trace.source.anomalies == {"negative_duration": 1, "pod_never_scheduled": 1, "zero_duration": 1}


def test_pods_that_all_wait_are_no_trace(write):
    refused(write(PODS, "p2,8000,32768,1,460,,BE,Pending,60,70,"), "has no row that can be read as an invocation")


# Huawei


def test_wide_counts_are_read_by_function(write):
    trace = open_trace(write("day,time,0,1,2", "3,259200,,2,", "3,259260,1.0,,", "3,259320,NaN,,", name="day_003.csv"))
    assert (trace.source.format, trace.source.window_s) == ("huawei-minutes", (259_200, 259_380))
    arrivals = collect(trace)
    assert [trace.functions[i].key for i in arrivals.function] == ["1", "1", "0"]
    assert (arrivals.at_s // 60).tolist() == [0, 0, 1]
    assert arrivals.duration_s.tolist() == pytest.approx([DEFAULT_S] * 3)
    assert trace.source.anomalies == {"function_without_durations": 2}


def test_days_may_lack_between_others(write, tmp_path):
    write("day,time,0", "0,86340,1", name="a.csv")
    write("day,time,0", "5,432000,2", name="b.csv")
    trace = open_trace(tmp_path)
    assert trace.source.window_s == (86_340, 432_060)
    assert [day.number for day in trace.days] == [0, 5]
    assert (collect(trace).at_s // 60).tolist() == [0, 5761, 5761]


def test_pools_tell_the_memory_of_functions_of_2025(write):
    trace = open_trace(write("day,time,400---418---pool22-300-128,400---9---pool22-300-256", "0,0,1,2"))
    assert [(f.key, f.app, f.memory_bytes) for f in trace.functions] == [
        ("418/400---pool22-300-128", "418", 128 * MIB),
        ("9/400---pool22-300-256", "9", 256 * MIB),
    ]


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ("0,0,1.5,2", "row 2, column '0': '1.5' must be a whole number"),
        ("0,0,-1,2", "row 2, column '0': '-1' must be a whole number"),
        ("0,0,1e300,2", "row 2, column '0': '1e300' must be a whole number"),
        (
            "0,1,1,2",
            "data row 1, column 'time': 1.0 must be the start of a minute, in s, within ten years; tables of seconds",
        ),
        ("0,6e10,1,2", "data row 1, column 'time': 60000000000.0 must be the start of a minute"),
        ("0,0,99999999999,2", "has 100,000,000,001 invocations in minute 1 of day 0; up to 33,554,432 a minute"),
    ],
)
def test_other_metrics_and_seconds_are_refused(write, row, match):
    refused(write("day,time,0,1", row), match)


def test_requests_carry_the_pool_of_their_pod(write):
    rows = [
        "2592000.5,,r0,1,400,pool24-600-512-0000577863,418,0.25,0.2",
        "2592000.1,2592000.1,r1,1,400,pool22-300-128-0000000001,418,0,0",
    ]
    trace = open_trace(write(REQUESTS, *rows))
    arrivals = collect(trace)
    assert (trace.source.format, trace.source.window_s[0]) == ("huawei-requests", 2_592_000)
    assert arrivals.at_s.tolist() == pytest.approx([0.1, 0.5])
    assert arrivals.duration_s.tolist() == [0.001, 0.25]
    assert [(trace.functions[i].key, trace.functions[i].memory_bytes) for i in arrivals.function] == [
        ("418/400---pool22-300-128", 128 * MIB),
        ("418/400---pool24-600-512", 512 * MIB),
    ]
    refused(write(REQUESTS, "1,,r0,1,400,here,418,1,1"), "data row 1, column 'podID': 'here' must be pool")


# OpenDC


def opendc_row(minute, n, average_ms=100, memory=256, name="f"):
    return f"{minute * 60_000},{n},{average_ms},100,{memory},0.0,2.0,{name}"


def test_timestamps_are_ends_of_minutes(write):
    trace = open_trace(write(OPENDC, opendc_row(1, 0), opendc_row(2, 3), opendc_row(3, 0)))
    assert (trace.source.window_s, trace.n_arrivals) == ((0, 180), 3)
    assert (collect(trace).at_s // 60).tolist() == [1, 1, 1]
    assert [(f.key, f.mean_s, f.memory_bytes) for f in trace.functions] == [("f", pytest.approx(0.1), 256 * MIB)]
    assert isinstance(trace.functions[0].memory_bytes, int)


def test_durations_are_the_averages_of_the_minutes_of_the_day(write):
    rows = [opendc_row(1, 98, 10), opendc_row(2, 2, 1000), opendc_row(1441, 1, 500), opendc_row(1442, 0, 9)]
    trace = open_trace(write(OPENDC, *rows))
    assert trace.functions[0].mean_s == pytest.approx((0.98 + 2 + 0.5) / 101)
    first, second = trace.days
    assert first.durations.quantiles_s[0].tolist() == pytest.approx([0.01] * 5 + [1.0] * 2)
    assert second.durations.quantiles_s[0].tolist() == pytest.approx([0.5] * 7)
    assert np.median(collect(trace).duration_s) == pytest.approx(0.01)


def test_files_are_functions(write, tmp_path):
    write(OPENDC, opendc_row(1, 1, name="f"), name="1.csv")
    write(OPENDC, opendc_row(1, 2, name="g", average_ms=0), opendc_row(2, 1, name="g", memory=512), name="2.csv")
    write(OPENDC, opendc_row(1, 4, name="g", memory=0), opendc_row(9, 0, name="quiet"), name="3.csv")
    trace = open_trace(tmp_path)
    assert [f.key for f in trace.functions] == ["f", "g"]
    assert np.bincount(collect(trace).function).tolist() == [1, 7]
    assert trace.functions[1].memory_bytes == 512 * MIB
    assert trace.source.anomalies == {"average_not_positive": 1, "duplicate_minute": 1, "memory_varies": 1}


@pytest.mark.parametrize("at_ms", [0, 59_999, 60_001])
def test_other_instants_are_named(write, at_ms):
    row = opendc_row(1, 1).replace("60000", str(at_ms), 1)
    refused(write(OPENDC, opendc_row(1, 1), row), rf"data row 2, column 'Timestamp \[ms\]': {at_ms} must be the end of")


def test_counts_are_scaled_by_thinning_and_windows_see_the_same(write):
    file = write(OPENDC, *(opendc_row(m, 1000) for m in range(1, 11)))
    whole = open_trace(file, rate_scale=0.25)
    assert whole.n_arrivals == pytest.approx(2500, rel=0.1)
    part = open_trace(file, rate_scale=0.25, window="00:03-00:05")
    at_s = collect(whole).at_s
    assert collect(part).at_s == pytest.approx(at_s[(at_s >= 180) & (at_s < 300)] - 180)


# Bare counts


@pytest.mark.parametrize("text", ["3\t0\t1\n", "3 0 1 ", "3\n0\n1", "3\r\n0\r\n1\r\n", "\n 3  0\t\t1 \n\n"])
def test_bare_numbers_are_counts_a_minute(tmp_path, text):
    file = tmp_path / "bursty-load.txt"
    file.write_text(text, newline="")
    trace = open_trace(file)
    assert (trace.source.format, trace.source.window_s) == ("plain-counts", (0, 180))
    assert (collect(trace).at_s // 60).tolist() == [0, 0, 0, 2]
    assert [f.key for f in trace.functions] == ["bursty-load"]
    assert trace.source.anomalies == {"function_without_durations": 1}


def test_loads_longer_than_a_day_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr("traces.readers.plaincounts._READ_BYTES", 7)  # numbers lie across reads
    counts = np.random.default_rng(0).integers(0, 500, 3000)
    (tmp_path / "x.txt").write_text(" ".join(map(str, counts)))
    trace = open_trace(tmp_path / "x.txt", placement="start")
    assert (trace.source.window_s[1], trace.n_arrivals) == (180_000, counts.sum())
    assert np.bincount((collect(trace).at_s // 60).astype(int), minlength=3000).tolist() == counts.tolist()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("1 2 " + "0 " * 4000 + "x 1", "number 4003: 'x' must be a whole number from 0 to 4294967295"),
        ("1 4294967296", "number 2: '4294967296' must be"),
        ("1 " + "9" * 3_000_000, "number 2: '9{60}' must be"),
        ("0 0 0", "no invocation in the window 00:00-00:03"),
        ("7 99999999", "has 99,999,999 invocations in minute 2 of day 0"),
    ],
)
def test_bad_numbers_are_named(tmp_path, text, match):
    (tmp_path / "x.txt").write_text(text)
    refused(tmp_path / "x.txt", match)


def test_two_loads_of_one_name_are_refused(tmp_path):
    for part in ("a", "b"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "x.txt").write_text("1")
    with pytest.raises(TraceError, match="is a second file named 'x'"):
        open_trace([tmp_path / "a", tmp_path / "b"])
