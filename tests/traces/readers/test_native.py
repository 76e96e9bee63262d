"""The project's own layout, and ``traces convert``, which writes it."""

import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from sim.errors import OutputError, TraceError
from tests.traces.trace_files import collect
from traces import writer
from traces.arrivals.durations import DEFAULT_S
from traces.cli import main
from traces.files import plainbytes
from traces.open import open_trace
from traces.readers import native as reader
from traces.writer import METADATA, write_native

CSV = "arrival_s,function,duration_s\n0,a/f,1\n0.5,b/g,2\n0.5,a/f,0\n61.25,a/f,3\n"


@pytest.fixture
def file(tmp_path):
    def write(text=CSV, name="own.csv"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def same(one, other):
    first, second = collect(one), collect(other)
    assert first.at_s.tolist() == second.at_s.tolist()
    assert first.function.tolist() == second.function.tolist()
    assert first.duration_s.tolist() == second.duration_s.tolist()
    assert [f.key for f in one.functions] == [f.key for f in other.functions]


def test_a_csv_file_is_read_in_its_order(file):
    trace = open_trace(file())
    arrivals = collect(trace)
    assert (trace.source.format, trace.source.window_s, trace.n_arrivals) == ("native", (0, 120), 4)
    assert arrivals.at_s.tolist() == [0, 0.5, 0.5, 61.25]
    assert [trace.functions[i].key for i in arrivals.function] == ["a/f", "b/g", "a/f", "a/f"]
    assert arrivals.duration_s.tolist() == [1, 2, 0.001, 3]
    assert trace.source.anomalies == {"zero_duration": 1}
    assert trace.functions[0].mean_s == pytest.approx(4.001 / 3)
    assert (trace.functions[1].app, trace.functions[1].memory_bytes) == ("b", None)


def test_the_trace_begins_at_zero_even_when_it_is_quiet_then(file):
    trace = open_trace(file("function,arrival_s\na/f,70\n"))
    assert (trace.source.window_s, collect(trace).at_s.tolist()) == ((0, 120), [70])


def test_optional_columns_have_rules(file):
    header = "arrival_s,function,memory_bytes,input_bytes"
    rows = ["0,a/f,100,5", "1,a/f,300,", "2,a/f,,7", "3,b/g,,", "4,c/h,0,", "5,d/i,9007199254740992,"]
    trace = open_trace(file("\n".join([header, *rows]) + "\n"))
    assert [f.memory_bytes for f in trace.functions] == [300, None, None, 2**53]
    assert isinstance(trace.functions[0].memory_bytes, int)
    assert collect(trace).duration_s.tolist() == [DEFAULT_S] * 6
    assert trace.source.anomalies == {
        "function_without_durations": 4,
        "input_bytes_unused": 2,
        "memory_not_positive": 1,
        "memory_varies": 1,
    }


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ("-1,a/f,1", "row 3, column 'arrival_s': '-1' must be a finite number, 0 or more"),
        ("nan,a/f,1", "row 3, column 'arrival_s': 'nan' must be"),
        ("2,a/f,", "row 3, column 'duration_s': '' must be"),
        ("2,a/f,inf", "row 3, column 'duration_s': 'inf' must be"),
        ("1,a/f,1", "data row 2, column 'arrival_s': 1.0 is before 9.0 of the row above"),
    ],
)
def test_bad_rows_are_named(file, row, match):
    with pytest.raises(TraceError, match=match):
        open_trace(file(f"arrival_s,function,duration_s\n9,a/f,1\n{row}\n"))


@pytest.mark.parametrize("value", ["-1", "1.5", "1e300", "x"])
def test_bytes_are_whole_numbers(file, value):
    with pytest.raises(TraceError, match=rf"row 2, column 'memory_bytes': '{value}' must be a whole number"):
        open_trace(file(f"arrival_s,function,memory_bytes\n1,a/f,{value}\n"))


def test_parts_in_a_directory_follow_each_other(file, tmp_path):
    file("arrival_s,function\n1,a/f\n5,b/g\n", "part-1.csv")
    file("arrival_s,function\n5,b/g\n9,a/f\n", "part-2.csv")
    assert collect(open_trace(tmp_path)).at_s.tolist() == [1, 5, 5, 9]
    file("arrival_s,function\n8,b/g\n", "part-3.csv")
    with pytest.raises(TraceError, match=r"part-3.csv, data row 1, .* 8.0 is before 9.0"):
        open_trace(tmp_path)


@pytest.fixture
def parquet(azure2019, tmp_path):
    """A trace of counts, and the same as a file of the project's own layout."""
    azure2019.day(("a/f", {1: 300, 2: 40}), ("b/never", {}), ("b/g", {3: 7}), ("c/h", {1: 5}))
    trace = open_trace(azure2019.path, window="00:00-00:05", placement="equidistant")
    write_native(trace, tmp_path / "own.parquet")
    return trace, tmp_path / "own.parquet"


def test_what_was_written_reads_the_same(parquet):
    trace, path = parquet
    again = open_trace(path)
    same(trace, again)
    assert [f.memory_bytes for f in again.functions] == [f.memory_bytes for f in trace.functions]
    assert [f.app for f in again.functions] == ["a", "b", "c"]
    assert (again.duration_s, again.n_arrivals) == (300, trace.n_arrivals)
    assert again.source.options["converted_from"]["format"] == "azure2019"
    assert again.source.anomalies == {}


def test_row_groups_and_batches_do_not_show(parquet, monkeypatch, tmp_path):
    trace, path = parquet
    monkeypatch.setattr(writer, "_GROUP_ROWS", 10)
    monkeypatch.setattr("traces.files.parquetfile._BATCH_ROWS", 4)
    write_native(open_trace(path), tmp_path / "other.parquet")
    assert pq.ParquetFile(tmp_path / "other.parquet").num_row_groups > 3
    same(trace, open_trace(tmp_path / "other.parquet"))


@pytest.mark.parametrize("scale", [0.3, 2.5])
def test_a_window_sees_the_same_thinned_and_copied_arrivals(tmp_path, scale, monkeypatch):
    monkeypatch.setattr("traces.files.parquetfile._BATCH_ROWS", 100)
    at_s = np.sort(np.random.default_rng(0).uniform(0, 600, 3000))
    pq.write_table(pa.table({"arrival_s": at_s, "function": ["a/f"] * 3000}), tmp_path / "x.parquet")
    trace = open_trace(tmp_path / "x.parquet", rate_scale=scale)
    whole = collect(trace).at_s
    assert len(whole) == trace.n_arrivals == pytest.approx(3000 * scale, rel=0.1)
    assert (np.diff(whole) >= 0).all()
    part = collect(open_trace(tmp_path / "x.parquet", rate_scale=scale, window="00:04-00:06")).at_s
    assert part == pytest.approx(whole[(whole >= 240) & (whole < 360)] - 240, abs=1e-9)


def test_files_of_other_writers_are_read(tmp_path):
    table = pa.table({"function": ["b/g", "a/f"], "arrival_s": pa.array([1, 2], pa.int32()), "note": ["x", "y"]})
    pq.write_table(table, tmp_path / "other.bin")
    trace = open_trace(tmp_path / "other.bin")
    assert (trace.source.window_s, collect(trace).at_s.tolist()) == ((0, 60), [1, 2])
    assert [f.key for f in trace.functions] == ["b/g", "a/f"]


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ({"arrival_s": [2.0, 1.0], "function": ["f", "f"]}, "data row 2, column 'arrival_s': 1.0 is before 2.0"),
        ({"arrival_s": [1.0, None], "function": ["f", "f"]}, "row 2, column 'arrival_s': None must be a finite"),
        ({"arrival_s": [1.0, 2.0], "function": ["f", None]}, "row 2, column 'function': None must be text"),
        ({"arrival_s": ["1", "2"], "function": ["f", "f"]}, "'arrival_s': has the type string, where numbers"),
        ({"arrival_s": [1.0], "function": [[1]]}, "column 'function': has the type list"),
        ({"arrival_s": [], "function": []}, "has columns but no rows|has the type null"),
        ({"at": [1.0], "function": ["f"]}, "Parquet columns at, function: the format can't be told"),
    ],
)
def test_bad_parquet_is_named(tmp_path, columns, match):
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    with pytest.raises(TraceError, match=match) as caught:
        open_trace(tmp_path / "x.parquet")
    assert str(tmp_path / "x.parquet") in str(caught.value)


@pytest.mark.parametrize("said", [b"{}", b"[]", b"{", b'{"duration_s": null}', b'{"duration_s": "x"}'])
def test_bad_metadata_are_named(tmp_path, said):
    table = pa.table({"arrival_s": [1.0], "function": ["f"]}).replace_schema_metadata({METADATA: said})
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(TraceError, match="its metadata 'gpu_faas_trace' must be JSON with duration_s"):
        open_trace(tmp_path / "x.parquet")


def test_an_end_before_the_last_arrival_is_no_end(tmp_path):
    table = pa.table({"arrival_s": [1.0], "function": ["f"]}).replace_schema_metadata({METADATA: b'{"duration_s": 1}'})
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(TraceError, match=r"has an arrival at 1.0 s, after its duration_s of 1.0"):
        open_trace(tmp_path / "x.parquet")


def test_a_flipped_bit_is_noticed(parquet):
    _, path = parquet
    good = path.read_bytes()
    for at in range(8, len(good) - 3000, 37):
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        try:
            again = collect(open_trace(path))
        except TraceError:
            continue
        path.write_bytes(good)
        assert again.at_s.tolist() == collect(open_trace(path)).at_s.tolist(), at


def test_the_command_writes_and_says_how_many(azure2019, tmp_path):
    azure2019.day(("a/f", {1: 3, 9: 1}))
    out = tmp_path / "out" / "own.parquet"
    out.parent.mkdir()
    args = ["convert", str(azure2019.path), "--window", "00:00-00:05", "-o", str(out)]
    done = CliRunner().invoke(main, args)
    assert (done.exit_code, done.output) == (0, f"{out}: 3 invocations\n")
    done = CliRunner().invoke(main, args)
    assert (done.exit_code, done.output) == (2, f"Error: {out}: is there already; --force replaces it\n")
    assert CliRunner().invoke(main, [*args, "--force", "--rate-scale", "2"]).exit_code == 0
    figures = json.loads(CliRunner().invoke(main, ["inspect", str(out), "--json"]).output)
    assert (figures["invocations"], figures["functions"], figures["window_s"]) == (6, 1, [0, 300])


def test_a_trace_that_breaks_leaves_nothing(parquet, tmp_path, monkeypatch):
    trace, path = parquet
    before, names = path.read_bytes(), sorted(os.listdir(tmp_path))
    first, *_ = trace.chunks()

    def broken(_):
        yield first
        raise TraceError("broken")

    monkeypatch.setattr(type(trace), "chunks", broken)
    for target in (path, tmp_path / "new.parquet"):
        with pytest.raises(TraceError, match="broken"):
            write_native(trace, target, force=True)
    assert path.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == names
    with pytest.raises(OutputError, match=r"nowhere/x.parquet: can't be written"):
        write_native(trace, tmp_path / "nowhere" / "x.parquet")


def test_reading_is_lazy(parquet, monkeypatch):
    """Only one batch is in memory at a time."""
    monkeypatch.setattr("traces.files.parquetfile._BATCH_ROWS", 16)
    _, path = parquet
    trace = open_trace(path)
    largest = max(len(batch) for batch in reader._batches([reader_file(path)]))
    assert largest == 16 < trace.n_arrivals


def reader_file(path):
    from traces.files.content import open_file

    return open_file(path, path)


def test_a_parquet_bomb_does_not_go_off(tmp_path, monkeypatch):
    monkeypatch.setattr(plainbytes, "_ALWAYS_ALLOWED_BYTES", 1 << 20)
    n_rows = 1_000_000
    functions = pa.DictionaryArray.from_arrays(np.zeros(n_rows, np.int32), ["f"])
    table = pa.table({"arrival_s": np.zeros(n_rows), "function": functions})
    pq.write_table(table, tmp_path / "x.parquet", compression="zstd")
    assert (tmp_path / "x.parquet").stat().st_size < 12_000
    with pytest.raises(TraceError, match=r"has 1,000,000 rows, more than the [\d,]+ that a file of its size may have"):
        open_trace(tmp_path / "x.parquet")


@pytest.mark.parametrize("scale", [300.5, 1e4])
def test_many_copies_are_made_piece_by_piece(tmp_path, scale, monkeypatch):
    monkeypatch.setattr("traces.arrivals.events._BLOCK_ROWS", 1000)
    (tmp_path / "x.csv").write_text("arrival_s,function\n" + "".join(f"{i * 30},a/f\n" for i in range(20)))
    trace = open_trace(tmp_path / "x.csv", rate_scale=scale)
    at_s = collect(trace).at_s
    assert len(at_s) == trace.n_arrivals == pytest.approx(20 * scale, rel=0.1)
    assert (np.diff(at_s) >= 0).all()
    assert {i * 30.0 for i in range(20)} < set(at_s.tolist())


@pytest.mark.parametrize("said", ["NaN", "Infinity", "1e300"])
def test_a_trace_has_an_end(tmp_path, said):
    said = b'{"duration_s": ' + said.encode() + b"}"
    table = pa.table({"arrival_s": [1.0], "function": ["f"]}).replace_schema_metadata({METADATA: said})
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(TraceError, match=r"x.parquet: covers 0 h to (nan|inf|2.77778e\+296) h, more than ten years"):
        open_trace(tmp_path / "x.parquet")


def test_the_first_bad_row_of_a_batch_is_named(tmp_path):
    at_s = np.arange(100_000.0)
    at_s[[77_777, 88_888]] = np.nan
    pq.write_table(pa.table({"arrival_s": at_s, "function": ["f"] * 100_000}), tmp_path / "x.parquet")
    with pytest.raises(TraceError, match="row 77778, column 'arrival_s': nan must be a finite number, 0 or more"):
        open_trace(tmp_path / "x.parquet")


@pytest.mark.parametrize("seed", range(5))
def test_copies_that_come_into_a_window_are_of_functions_that_the_trace_lists(file, seed):
    """The function c has rows in the minute after the window only, from where copies come into it."""
    rows = [f"{i},{'a/f' if i < 60 else 'c/h' if i < 120 else 'd/far'},1" for i in range(200)]
    path = file("\n".join(["arrival_s,function,duration_s", *rows]) + "\n")
    trace = open_trace(path, window="00:00-00:01", rate_scale=20, seed=seed)
    drawn = collect(trace)
    assert [(f.key, f.n_invocations) for f in trace.functions] == [("a/f", 60), ("c/h", 0)]
    assert set(drawn.function.tolist()) == {0, 1}
    assert len(drawn.at_s) == trace.n_arrivals
    assert [f.key for f in open_trace(path, window="00:00-00:01").functions] == ["a/f"]
