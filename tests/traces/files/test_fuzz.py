"""Mutilated files of every format are refused by name, or read in full: nothing is lost without being counted.

Each format has a small valid trace and an oracle, which counts the invocations of the files with the csv module alone.
"""

import csv
import gzip
import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sim.errors import TraceError
from tests.traces.trace_files import collect
from traces.anomalies import RULES
from traces.inspect.summary import summarise
from traces.open import FORMATS, open_trace

FUZZ = settings(
    max_examples=100,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, *settings.default.suppress_health_check],
)
DRAWN_MAX = 200_000  # of larger traces the announced number is compared


def rows(content):
    """The rows as dicts, in the way of RFC 4180. Bytes that aren't text stand in columns that aren't read."""
    header, *lines = csv.reader(io.StringIO(content.decode("utf-8-sig", "replace"), newline=""))
    names = [name.strip() for name in header]
    return [dict(zip(names, line, strict=True)) for line in lines if line]


def whole(text):
    """A count; Arrow reads hexadecimal ones, too."""
    return int(text, 16 if text.strip().lower().startswith("0x") else 10)


def n_rows(content, anomalies):
    return len(rows(content))


def n_scheduled(content, anomalies):
    return len(rows(content)) - anomalies.get("pod_never_scheduled", 0)


def n_counted(content, anomalies):
    return sum(whole(row["Invocations"]) for row in rows(content))


def n_in_minutes(content, anomalies):
    return sum(whole(cell) for row in rows(content) for name, cell in row.items() if name.isdecimal())


def n_in_wide(content, anomalies):
    cells = [float(cell or "nan") for row in rows(content) for name, cell in row.items() if name not in ("day", "time")]
    return round(sum(cell for cell in cells if not math.isnan(cell)))


def n_in_words(content, anomalies):
    return sum(map(int, content.split()))


@dataclass(frozen=True)
class Case:
    """A valid trace of a format, of which one file is mutilated."""

    format: str
    content: str
    oracle: Callable[[bytes, Mapping[str, int]], int]


MINUTES = "HashOwner,HashApp,HashFunction,Trigger,480,481,482\no,a,f,http,1,0,2\no,a,g,timer,0,7,1\no,b,h,queue,3,0,0\n"
PERCENTILES = ",".join(f"percentile_Average_{p}" for p in (0, 1, 25, 50, 75, 99, 100))
DURATIONS = (
    f"HashApp,HashFunction,Average,Minimum,Maximum,{PERCENTILES}\na,f,5,1.0,,1,2,3,4,5,6,7\nb,h,0,,9,1,1,1,1,1,1,1\n"
)
MEMORY = "HashApp,AverageAllocatedMb\na,12\nb,0\n"
CASES = {
    "invocations": Case("azure2019-invitro", MINUTES, n_in_minutes),
    "azure2021": Case(
        "azure2021",
        'app,func,end_timestamp,duration\na,f,10.5,0.25\nb,"g",99.0,3\na,f,7,0\nb,g,300.0,1e1\n',
        n_rows,
    ),
    "llm": Case(
        "azure-llm",
        "TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:17:03.9799600,4808,10\r\n"
        "2023-11-16 18:17:04.0319600,3180,8\r\n2023-11-16 18:18:04,110,27",
        n_rows,
    ),
    "genai": Case(
        "alibaba-genai",
        "gmt_create,predict_status,exec_time_seconds,checkpoint_model_version_id\n"
        "2025-01-01 00:00:05,SUCCEED,23.5,m1\n2025-01-01 00:00:05,FAILED,0,\n2025-01-01 00:01:05,PENDING,1.0,m2\n",
        n_rows,
    ),
    "pods": Case(
        "alibaba-gpu-pods",
        "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\n"
        "p0,12000,16384,1,1000,,LS,Running,0,125,0\np1,8000,32768,1,460,V100M16|V100M32,BE,Pending,60,70,\n"
        "p2,8000,32768,1,460,,BE,Succeeded,60,70,61.0\n",
        n_scheduled,
    ),
    "wide": Case("huawei-minutes", "day,time,0,1,2\n3,259200,,2,\n3,259260,1.0,,4\n", n_in_wide),
    "requests": Case(
        "huawei-requests",
        "time_worker,funcName,podID,userID,totalCost_worker\n2592000.5,400,pool24-600-512-0000577863,418,0.25\n"
        "2592000.1,400,pool22-300-128-0000000001,418,0\n",
        n_rows,
    ),
    "opendc": Case(
        "opendc",
        "Timestamp [ms],Invocations, Avg Exec time per Invocation,Provisioned Memory [mb],name\n"
        "60000,1,300262,256,f\n120000,0,300262,256,f\n180000,5,10,256,f\n",
        n_counted,
    ),
    "counts": Case("plain-counts", "118 20\t5 0 226 181\n7 0 3 ", n_in_words),
    "native": Case(
        "native",
        "arrival_s,function,duration_s,memory_bytes,input_bytes\n0,a/f,1,64,\n0.5,b/g,2,,7\n0.5,a/f,0,65,8\n99.25,a/f,3,,\n",
        n_rows,
    ),
}
ORACLES = {case.format: case.oracle for case in CASES.values()}  # a cut file may be one of another format
NASTY = [
    *("", " ", "-1", "0", "nan", "NaN", "inf", "-inf", "1e308", "1e400", "1e-320", "9" * 400, "4294967296", "0x10"),
    *("1.5", "1_000", "+5", " 5", "5 ", "٣", "é", "NULL", "None", "true", '"', '"5"', '"a,b"', "a\tb", "\0", "=1+1"),
    *("2023-13-01 00:00:00", "2023-11-16", "9999-12-31 23:59:59", "a/f", "../x", "60000", "259200"),
]


def _lines(draw, content):
    """Lines shuffled, left out or twice, cells dropped, doubled, swapped or replaced."""
    lines = content.splitlines(keepends=True) or [""]
    at, other = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
    what = draw(st.sampled_from(["drop", "twice", "swap", "blank", "cell", "cell", "cell"]))
    if what == "drop":
        del lines[at]
    elif what == "twice":
        lines.insert(other, lines[at])
    elif what == "swap":
        lines[at], lines[other] = lines[other], lines[at]
    elif what == "blank":
        lines.insert(at, "\n")
    else:
        cells = lines[at].split(",")
        i, j = (draw(st.integers(0, len(cells) - 1)) for _ in range(2))
        cells[i : i + draw(st.integers(0, 1))] = draw(st.sampled_from([[], [cells[j]], [draw(st.sampled_from(NASTY))]]))
        lines[at] = ",".join(cells)
    return "".join(lines)


@st.composite
def mutilated(draw, original):
    """The text with changed lines and cells, then with changed bytes, perhaps compressed, perhaps cut."""
    text = original
    for _ in range(draw(st.integers(0, 2))):
        text = _lines(draw, text)
    if draw(st.booleans()):
        text = text.replace("\r\n", "\n").replace("\n", draw(st.sampled_from(["\r\n", "\r", "\n"])))
    if draw(st.booleans()):
        text = text.rstrip()
    content = bytearray(text.encode(draw(st.sampled_from(["utf-8"] * 6 + ["utf-8-sig", "utf-16"]))))
    for _ in range(draw(st.sampled_from([0, 0, 1, 3]))):
        at = draw(st.integers(0, len(content)))
        content[at : at + draw(st.integers(0, 3))] = draw(
            st.one_of(st.binary(max_size=3), st.sampled_from([b"\n", b",", b'"']))
        )
    if draw(st.integers(0, 4)) == 0:
        del content[draw(st.integers(0, len(content))) :]
    return bytes(content)


def check(path, files, content):
    """Read the trace: an error must name one of the files; else the number of arrivals must be that of the oracle."""
    try:
        trace = open_trace(path)
        n = trace.n_arrivals
        if n <= DRAWN_MAX:
            arrivals = collect(trace)
            assert summarise(trace)["invocations"] == n
            assert len(arrivals.at_s) == n
            assert (arrivals.at_s >= 0).all()
            assert (arrivals.at_s < trace.duration_s).all()
            assert (arrivals.at_s[1:] >= arrivals.at_s[:-1]).all()
            assert (arrivals.duration_s > 0).all()
    except TraceError as error:
        told = str(error)
    else:
        told = ""
        assert trace.source.anomalies.keys() <= RULES.keys()
        assert n == ORACLES[trace.source.format](content, trace.source.anomalies)
    assert not told or any(str(file) in told for file in [path, *files])
    assert "\n" not in told


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_valid_file_is_read(case, tmp_path):
    file = tmp_path / "x.csv"
    file.write_text(case.content, newline="")
    trace = open_trace(file)
    assert trace.source.format == case.format
    assert trace.n_arrivals == case.oracle(file.read_bytes(), trace.source.anomalies) > 0


def test_every_format_has_a_case():
    assert {case.format for case in CASES.values()} | {"azure2019"} == set(FORMATS)  # whose layout is the one below


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@FUZZ
@given(data=st.data())
def test_nothing_is_lost_unseen(case, tmp_path, data):
    content = data.draw(mutilated(case.content))
    file = tmp_path / "x.csv"
    file.write_bytes(gzip.compress(content) if data.draw(st.integers(0, 9)) == 0 else content)
    check(file, [], content)


@pytest.mark.parametrize("which", [0, 1, 2], ids=["invocations", "durations", "memory"])
@FUZZ
@given(data=st.data())
def test_tables_of_a_day_lose_nothing_unseen(which, tmp_path, data):
    tables = [MINUTES, DURATIONS, MEMORY]
    contents = [table.encode() for table in tables]
    contents[which] = data.draw(mutilated(tables[which]))
    files = [tmp_path / name for name in ("invocations.csv", "durations.csv", "memory.csv")]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    check(tmp_path, files, contents[0])


@FUZZ
@given(data=st.data())
def test_flipped_bytes_of_parquet_lose_nothing_unseen(tmp_path, data):
    buffer = io.BytesIO()
    table = pa.table({"arrival_s": [0.0, 0.5, 70.0], "function": ["a/f", "b/g", "a/f"], "duration_s": [1.0, 0.0, 3.0]})
    pq.write_table(table, buffer, write_page_checksum=True, row_group_size=2)
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.integers(0, 4)) == 0:
        del content[data.draw(st.integers(0, len(content))) :]
    (tmp_path / "x.parquet").write_bytes(content)
    check(tmp_path / "x.parquet", [], b"arrival_s" + b"\n0" * 3)
