"""A file that isn't a trace is refused with one sentence: the file, the place, the value and the rule."""

import pytest

from sim.errors import TraceError
from traces.open import FORMATS, open_trace
from traces.readers.daily_files import Role

HEADER = "HashOwner,HashApp,HashFunction,Trigger,1,2,3"
GOOD = "o,a,f,http,1,0,2"
DURATIONS = "HashApp,HashFunction,Average," + ",".join(f"percentile_Average_{p}" for p in (0, 1, 25, 50, 75, 99, 100))
MEMORY = "HashApp,AverageAllocatedMb"
EVENTS = "app,func,end_timestamp,duration\na,f,10.5,0.25\nb,g,99.0,3\n"


def refused(tmp_path, content, match, name="x.csv", **options):
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(TraceError, match=match) as caught:
        open_trace(file, **options)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "match"),
    [
        ([HEADER, GOOD, "o,a,g,http,1,-3,2"], r"row 3, column '2': '-3' must be a whole number"),
        ([HEADER, GOOD, "o,a,g,http,1,0.5,2"], r"row 3, column '2': '0.5' must be a whole number"),
        ([HEADER, GOOD, "o,a,g,http,1,x,2"], r"row 3, column '2': 'x' must be a whole number"),
        ([HEADER, "o,a,g,http,1,,2"], r"row 2, column '2': '' must be a whole number"),
        ([HEADER, "o,a,g,http,1,4294967296,2"], r"row 2, column '2': '4294967296' must be"),
        ([HEADER, "o,a,g,http,1," + "9" * 5000 + ",2"], r"row 2, column '2': '9{60}' must be"),
        ([HEADER, GOOD, "o,a,g,http,1,0"], r"row 3: has 6 fields where the header has 7"),
        ([HEADER, GOOD, "o,a,g,http,1,0,2,4"], r"row 3: has 8 fields where the header has 7"),
        ([HEADER, GOOD, GOOD, 'o,a,"g,http'], r"isn't a readable CSV table"),
        ([HEADER], r"has a header but no rows"),
        ([HEADER, "o,a,f,http,0,0,0"], r"no invocation in the window 00:00-00:03"),
        ([""], r"row 1: is empty"),
        (["HashApp,HashFunction,1,minute_1", "a,f,1,1"], r"'1' and 'minute_1' are the same minute"),
        (["HashApp,HashFunction,1,1", "a,f,1,1"], r"column '1' stands there twice"),
        (["HashApp,HashFunction,1,3", "a,f,1,1"], r"lacks the column of minute 2"),
        (["HashApp,HashFunction,0,1", "a,f,1,1"], r"minute column '0' must be numbered 1 to 1440"),
        (["HashApp,HashFunction,1440,1441", "a,f,1,1"], r"minute column '1441' must be"),
        (['HashApp,HashFunction,"1', "a,f,1"], r"row 1: isn't a CSV header"),
        (["version https://git-lfs.github.com/spec/v1", "oid sha256:00", "size 1"], r"is a Git LFS pointer"),
        (["time,value", "1,2"], r"columns time, value: the format can't be told; 'traces formats' lists"),
        (["arrival_s;function", "1;f"], r"columns separated by ';', not by commas: the format can't be told"),
        ([DURATIONS, "a,f" + ",1" * 8], r"no invocations table; expected invocations_per_function_md.anon.d01.csv"),
        (["app,func,end_timestamp", "a,f,1"], r"format can't be told"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, lines, match):
    refused(tmp_path, "\n".join(lines) + "\n", match)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"HashApp,HashFunction,1\n\xff\xfe,f,1\n", "row 2: isn't UTF-8 text"),
        (b"\xff\xfeH\x00a\x00", "row 1: isn't UTF-8 text"),
        (b"", "is empty"),
        (HEADER.encode(), "has a header but no rows"),
        (EVENTS.splitlines()[0].encode(), "has a header but no rows"),
        (b"a,f\rb,g\r", "row 1: isn't a CSV header"),
    ],
)
def test_what_isnt_text_is_named(tmp_path, content, match):
    refused(tmp_path, content, match)


@pytest.mark.parametrize(
    ("durations", "memory", "match"),
    [
        ("a,f,x" + ",1" * 7, "a,1", r"row 2, column 'Average': 'x' must be a finite number"),
        ("a,f,2e15" + ",1" * 7, "a,1", r"row 2, column 'Average': '2e15' must be a finite number, up to 1e15"),
        ("a,f,nan" + ",1" * 7, "a,1", r"row 2, column 'Average': 'nan' must be a finite number"),
        ("a,f,1" + ",1" * 6 + ",", "a,1", r"column 'percentile_Average_100': '' must be a finite number"),
        ("a,f,1" + ",1" * 6, "a,1", r"row 2: has 9 fields where the header has 10"),
        ("a,f,1" + ",1" * 7, "a,inf", r"row 2, column 'AverageAllocatedMb': 'inf' must be a finite number"),
    ],
)
def test_bad_durations_and_memory_are_named(tmp_path, durations, memory, match):
    (tmp_path / "invocations.csv").write_text(f"{HEADER}\n{GOOD}\n")
    (tmp_path / "durations.csv").write_text(f"{DURATIONS}\n{durations}\n")
    (tmp_path / "memory.csv").write_text(f"{MEMORY}\n{memory}\n")
    with pytest.raises(TraceError, match=match):
        open_trace(tmp_path)


def test_only_the_extremes_may_be_empty(azure2019):
    azure2019.day(("a/f", {1: 1}))
    azure2019.durations(("a/f", 5, [1, 1, 1, "", 1, 1, 1]))
    with pytest.raises(TraceError, match="row 2, column 'percentile_Average_50': '' must be a finite number"):
        open_trace(azure2019.path)


def test_paths_without_a_trace_are_named(tmp_path):
    with pytest.raises(TraceError, match=r"nowhere: can't be read \(No such file or directory\)"):
        open_trace(tmp_path / "nowhere")
    with pytest.raises(TraceError, match="no trace file in this directory"):
        open_trace(tmp_path)
    with pytest.raises(TraceError, match="no trace given"):
        open_trace([])


def test_files_of_two_data_sets_are_no_trace(azure2019):
    azure2019.day(("a/f", {1: 1}))
    (azure2019.path / "events.csv").write_text(EVENTS)
    with pytest.raises(TraceError, match="they are of different data sets, choose with --format"):
        open_trace(azure2019.path)
    assert open_trace(azure2019.path, format="azure2021").n_arrivals == 2


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"placement": "middle"}, "unknown placement 'middle'; known are uniform, equidistant, poisson, start"),
        ({"rate_scale": 0.0}, "rate_scale 0.0: must be"),
        ({"rate_scale": float("nan")}, "rate_scale nan: must be"),
        ({"rate_scale": float("inf")}, "rate_scale inf: must be"),
        ({"seed": -1}, "seed -1: must be"),
        ({"window": "8-9"}, "window '8-9': write HH:MM-HH:MM"),
        ({"window": "23:00-25:00"}, "window 23:00-25:00 reaches beyond the trace, which covers 00:00-24:00"),
        ({"window": "08:00-09:00"}, "no invocation in the window 08:00-09:00"),
        ({"format": "azure"}, rf"unknown format 'azure', did you mean 'azure2021'\? Known are {', '.join(FORMATS)}"),
        ({"format": "azure2021"}, "not in the format azure2021"),
    ],
)
def test_bad_options_are_named(azure2019, options, match):
    azure2019.day(("a/f", {1: 1}))
    with pytest.raises(TraceError, match=match):
        open_trace(azure2019.path, **options)


def test_every_role_is_told_from_its_header(azure2019):
    azure2019.day(("a/f", {1: 1}))
    for role in Role:
        azure2019.file(role).rename(azure2019.path / f"{role.name.lower()[::-1]}.csv")
    assert open_trace(azure2019.path).n_arrivals == 1


def test_tables_that_a_directory_holds_besides_are_counted(azure2019):
    azure2019.day(("a/f", {1: 1}))
    for name in ("SOURCE.txt", "LICENSE", "README.md", "events.csv.part", ".hidden.csv"):
        (azure2019.path / name).write_text("nothing")
    (azure2019.path / "load_times.csv").write_text("function,load_s\na/f,1.5\n")
    assert open_trace(azure2019.path).source.anomalies == {}
    for name, text in (("note.txt", "nothing"), ("notes", "a, a")):
        (azure2019.path / name).write_text(text)
    assert open_trace(azure2019.path).source.anomalies == {"file_passed_over": 2}
    azure2019.day(("a/f", {1: 1}), day=2)
    broken = azure2019.file(Role.INVOCATIONS, 2)
    broken.write_text(broken.read_text().replace("HashFunction", "HashFonction"))
    trace = open_trace(azure2019.path)
    assert (trace.n_arrivals, trace.source.anomalies) == (1, {"file_passed_over": 3})


@pytest.mark.parametrize("names", [("x1", "x2", "x3"), ("x1.txt", "x2", "x3.parquet")])
def test_names_say_nothing(azure2019, names):
    azure2019.day(("a/f", {1: 1}))
    files = [azure2019.file(role).rename(azure2019.path / name) for role, name in zip(Role, names, strict=True)]
    assert [open_trace(paths).n_arrivals for paths in (azure2019.path, files)] == [1, 1]


def test_a_load_that_is_no_number_is_not_lost_unseen(tmp_path):
    (tmp_path / "a").write_text("1 2 3")
    (tmp_path / "b").write_text("1 2 x")
    assert open_trace(tmp_path).source.anomalies["file_passed_over"] == 1


def test_other_texts_are_named(tmp_path):
    refused(tmp_path, '{"inverse_ecdf": [1, 2, 2]}', "is JSON, which isn't read")


@pytest.mark.parametrize(
    "text",
    [
        "app,func,end_timestamp,duration\na,f,10,1\na,f,1e10,1\n",
        "arrival_s,function\n5,a/f\n1700000000,a/f\n",
        "TIMESTAMP,ContextTokens,GeneratedTokens\n1970-01-01 00:00:00,1,1\n2024-05-10 00:00:00,1,1\n",
    ],
)
def test_instants_decades_apart_are_no_trace(tmp_path, text):
    refused(tmp_path, text, r"covers .* h, more than ten years; instants must be seconds from the start of the trace")
