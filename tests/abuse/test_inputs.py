"""Attacks that have worked once, each by name: what is refused, with which sentence."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from sim.errors import ScenarioError, TraceError
from sim.loads import Clients, make_load
from sim.policies import make_policy
from sim.records.results import open_run
from sim.scenario import read_scenario
from sim.terminal.console import ProjectGroup, echo
from sim.text import printable
from tests.abuse.core import check_end, run
from tests.abuse.samples import NATIVE, SCENARIO, calibration
from tests.docs.commands import MAIN
from traces.open import open_trace
from traces.synth.patterns import make_pattern

POLICY = ["--policy", "balance", "--limit", "5"]


@pytest.fixture
def trace(tmp_path):
    (tmp_path / "t.csv").write_bytes(NATIVE)
    return tmp_path / "t.csv"


def refused(*words):
    """Run a command that must be refused; returns the sentence."""
    name, *arguments = map(str, words)
    result = CliRunner().invoke(MAIN[name], arguments)
    check_end(result.exit_code, result.stdout, result.stderr, result.exception)
    assert result.exit_code == 2
    return result.stderr


# Files that aren't files


@pytest.fixture(params=["pipe", "device", "proc", "directory"])
def no_file(request, tmp_path):
    if request.param == "pipe":
        os.mkfifo(tmp_path / "p.csv")
    elif request.param == "directory":
        (tmp_path / "p.csv").mkdir()
    return {"device": "/dev/zero", "proc": "/proc/self/status"}.get(request.param, tmp_path / "p.csv")


@pytest.mark.parametrize("option", ["--scenario", "--calibration", "--catalogue", "--map"])
def test_a_description_is_a_plain_file(option, no_file, trace, tmp_path):
    words = ["simulate", "run", trace, *POLICY, option, no_file, "-o", tmp_path / "out"]
    assert any(what in refused(*words) for what in ("must be a file", "is empty"))


def test_a_policy_is_in_a_plain_file(no_file, trace, tmp_path):
    (tmp_path / "p.py").symlink_to(no_file)
    said = refused("simulate", "run", trace, "--policy", f"{tmp_path / 'p.py'}:Mine")
    assert any(what in said for what in ("must be a file", "is empty"))


def test_points_are_a_plain_file(no_file):
    assert str(no_file) in refused("simulate", "reproduce", "kaas", "--figure", "throughput", "--points", no_file)


def test_a_trace_is_a_plain_file(no_file):
    assert str(no_file) in refused("traces", "inspect", no_file)


def test_a_pipe_in_the_directory_of_a_trace_is_named(trace):
    os.mkfifo(trace.parent / "u.csv")
    assert "u.csv: is a pipe, must be a file" in refused("traces", "inspect", trace.parent)


# Descriptions


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("seed: 1\nlimit: 3\nseed: 2\n", "s.yaml, line 3: the key 'seed' stands twice in one mapping"),
        ("fleet: {gpus: 1,\n gpus: 2}\n", "s.yaml, line 2: the key 'gpus' stands twice"),
        ("a: &a [x, x]\nb: [*a, *a]\n", "s.yaml, line 2: has an alias, which must be written out"),
        ("seed: 2023-99-99\n", "s.yaml: not YAML"),
        ("seed: " + "9" * 5_000, "s.yaml: not YAML"),
        ("seed: 0x" + "9" * 5_000, "s.yaml: has a whole number of more than 2048 bits"),
        ("traces: " + "[" * 5_000, "s.yaml: is nested too deeply"),
        ("traces: " + "[" * 99 + "]" * 99, "s.yaml: is nested too deeply"),
        ('traces: ["a\\0"]', "which holds a character that no text has"),
        ('traces: ["\\ud800"]', "which holds a character that no text has"),
        ("traces: [\x00]", "s.yaml: is not text, it has zero bytes"),
        ("x: " + "y" * (1 << 20), "s.yaml: is larger than 1 MiB, too much for YAML"),
    ],
)
def test_a_scenario_says_what_it_means(tmp_path, text, complaint):
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(ScenarioError) as caught:
        read_scenario(tmp_path / "s.yaml", {})
    assert complaint in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_scenario_is_utf8(tmp_path):
    (tmp_path / "s.yaml").write_bytes(b"traces: [\xff]")
    with pytest.raises(ScenarioError, match="is not UTF-8 text, from byte 10 on"):
        read_scenario(tmp_path / "s.yaml", {})


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (('"name"', '"name": "x",\n\t"name"'), "d.json, line 4: the key 'name' stands twice in one mapping"),
        (("5480000000.0", "1e308"), "value is 1e+308, must be 0, or a number from 1e-18 to 1e+18"),
        (("5480000000.0", "NaN"), "value is nan, must be 0, or a number"),
        (('"v100-kaas"', "[" * 100_000), "d.json: is nested too deeply"),
    ],
)
def test_a_calibration_says_what_it_means(trace, tmp_path, change, complaint):
    changed = calibration().replace(*change, 1)
    assert changed != calibration()
    (tmp_path / "d.json").write_text(changed)
    assert complaint in refused("simulate", "run", trace, *POLICY, "--calibration", tmp_path / "d.json", "-o", "out")


@pytest.mark.parametrize("cells", ["resnet50,kaas,1,1e-320", "resnet50,kaas,1,nan", f"resnet50,kaas,{'9' * 5_000},1"])
def test_points_are_numbers_that_can_be_compared(tmp_path, cells):
    (tmp_path / "p.csv").write_text(f"workload,mode,clients,throughput_qps\n{cells}\n")
    words = ["simulate", "reproduce", "kaas", "--figure", "throughput", "--points", tmp_path / "p.csv"]
    assert "row 2: " in refused(*words)


@pytest.mark.parametrize("name", ["a" * 300, "\udcff", "a/" * 3_000])
def test_names_that_no_file_has_are_named(name, trace, tmp_path):
    (tmp_path / "s.yaml").write_text(SCENARIO.replace("native.csv", "n" * 300))
    for words in (
        ["traces", "inspect", name],
        ["simulate", "run", trace, *POLICY, "--calibration", name],
        ["simulate", "run", trace, *POLICY, "--catalogue", name],
        ["simulate", "run", trace, *POLICY, "-o", tmp_path / name],
        ["simulate", "run", "--scenario", name],
        ["simulate", "run", "--scenario", tmp_path / "s.yaml"],
        ["analyze", "table", name],
    ):
        refused(*words)


@pytest.mark.parametrize("name", ["a" * 300, "a/" * 3_000])
def test_an_output_has_a_name_that_a_file_can_have(name, trace, tmp_path):
    refused("traces", "convert", trace, "-o", tmp_path / f"{name}.parquet")
    assert os.listdir(tmp_path) == ["t.csv"]


def test_an_output_of_one_file_may_be_called_anything(trace, tmp_path):
    assert run(["traces", "convert", trace, "-o", tmp_path / "\udcff.parquet"]) == "done"
    assert (tmp_path / "\udcff.parquet").exists()


# Numbers


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("closed[duration=1e300]", "has 1e+300 s, may have 2,678,400"),
        ("closed[outstanding=100000000]", "requests at the start, may have 10,000,000"),
        ("nshot[n=1000000000]", "has 1e+09 requests, may have 100,000,000"),
        (f"nshot[n={'9' * 4_000}]", "must be a whole number below 2**63"),
        ("poisson[rate=1e30]", "has 3e+32 requests"),
        ("server[rate=1e-300]", "rate is 1e-300, must be a finite number from 1e-09 on"),
        ("server[rate=1e-6]", "rate is 1e-06, must be at least"),
        ("offline[samples=1000000000]", "may have 100,000,000"),
        ("closed[duration=1,duration=2]", "the parameter duration stands there twice"),
    ],
)
def test_a_load_can_be_simulated(text, complaint):
    with pytest.raises(ScenarioError) as caught:
        make_load(text).trace(Clients(1, "bert"))
    assert complaint in str(caught.value)


def test_a_closed_load_ends(monkeypatch):
    monkeypatch.setattr("sim.loads.closed.MOST_REQUESTS", 10)
    loop = make_load("closed[outstanding=2]").trace(Clients(1, "bert"))
    for _ in range(8):
        assert loop.again(0.0, 0)
    with pytest.raises(ScenarioError, match="the load has no end within 10 requests"):
        loop.again(0.0, 0)


def test_parameters_stand_there_once():
    with pytest.raises(ScenarioError, match="the parameter penalty stands there twice"):
        make_policy("affinity[penalty=1,penalty=2]")
    with pytest.raises(TraceError, match="cv stands there twice"):
        make_pattern("gamma[cv=1,cv=2]")


def test_a_fleet_can_be_simulated(trace):
    words = ["simulate", "run", trace, *POLICY, "--gpus", 100_000_000]
    assert "gpus is 100000000, must be at most 100,000" in refused(*words)
    for node in (10**9, 10**30):
        with pytest.raises(ScenarioError, match=f"gpus_per_node is {node}, must be at most 100,000"):
            read_scenario(None, {"traces": ["t.csv"], "policies": ["balance"], "fleet": {"gpus_per_node": node}})


@pytest.mark.parametrize("option", [("--rate", "1e30"), ("--functions", "1000000000"), ("--minutes", "9" * 30)])
def test_a_synthetic_trace_can_be_written(option, tmp_path):
    assert f"Error: {option[0][2:]} " in refused("traces", "synth", *option, "-o", tmp_path / "out")


@pytest.mark.parametrize(
    ("n", "scale", "complaint"), [(100, 1e6, "100,000,000 invocations in a minute"), (3, 1e6, None), (2, 1.5, None)]
)
def test_copies_of_a_log_have_a_limit(tmp_path, monkeypatch, n, scale, complaint):
    rows = "".join(f"{0.1 * i},f\n" for i in range(n))
    (tmp_path / "t.csv").write_text(f"arrival_s,function\n{rows}")
    if complaint:
        with pytest.raises(TraceError, match=complaint):
            open_trace(tmp_path / "t.csv", rate_scale=scale)
        return
    assert open_trace(tmp_path / "t.csv", rate_scale=scale).n_arrivals > 0
    monkeypatch.setattr("traces.arrivals.events._MOST_COPIES", n)
    with pytest.raises(TraceError, match="invocations in all of"):
        open_trace(tmp_path / "t.csv", rate_scale=scale)


# Small files that stand for much


def test_a_long_text_in_many_rows_of_parquet_is_held_once(tmp_path):
    function = pa.DictionaryArray.from_arrays(np.zeros(200_000, np.int32), ["x" * 30_000])
    table = pa.table({"arrival_s": np.zeros(200_000), "function": function})
    plain = pa.schema([("arrival_s", pa.float64()), ("function", pa.dictionary(pa.int32(), pa.string()))])
    pq.write_table(table.cast(plain), tmp_path / "t.parquet", store_schema=False)  # 6 GB of text
    assert (tmp_path / "t.parquet").stat().st_size < 100_000
    before = pa.default_memory_pool().max_memory()
    assert open_trace(tmp_path / "t.parquet").n_arrivals == 200_000
    assert pa.default_memory_pool().max_memory() - before < 200 << 20


def test_parquet_that_expands_without_measure_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("traces.files.plainbytes._ALWAYS_ALLOWED_BYTES", 1 << 20)
    table = pa.table({"arrival_s": np.zeros(2_000), "function": ["x" * 3_000] * 2_000})
    pq.write_table(table, tmp_path / "t.parquet", compression="zstd", use_dictionary=False)
    with pytest.raises(TraceError, match="6,036,155 bytes, more than the"):
        open_trace(tmp_path / "t.parquet")


def test_a_column_of_parquet_stands_there_once(tmp_path):
    columns = {"arrival_s": [0.0], "function": ["f"]}
    twice = pa.Table.from_arrays([*map(pa.array, columns.values()), pa.array(["g"])], [*columns, "function"])
    pq.write_table(twice, tmp_path / "t.parquet")
    with pytest.raises(TraceError, match="has the column 'function' twice"):
        open_trace(tmp_path / "t.parquet")


def test_low_memory_is_no_fault_of_the_file(trace, monkeypatch):
    def fail(*arguments, **options):
        raise pa.ArrowMemoryError("malloc of size 64 failed")

    monkeypatch.setattr(pacsv, "open_csv", fail)
    assert "there is not enough memory for this (malloc of size 64 failed)" in refused("traces", "inspect", trace)


def test_low_memory_is_no_fault_of_a_library():
    @ProjectGroup("broken").command()
    def fail():
        raise ImportError("libarrow.so: failed to map segment from shared object")

    result = CliRunner().invoke(ProjectGroup("broken", {"fail": fail}), ["fail"])
    assert result.stderr.startswith("Error: there is not enough memory for this (libarrow.so: failed to map")


def test_the_working_directory_may_be_gone(trace, tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert "the working directory is gone" in refused("traces", "inspect", trace)


# What is printed


def test_a_terminal_gets_no_orders(tmp_path):
    (tmp_path / "t.csv").write_text("arrival_s,function\n0,\x1b[31mred\x07\n0.5,\x9bb\u202e\n")
    assert run(["traces", "inspect", tmp_path / "t.csv"]) == "done"
    assert "\\x1b" in refused("traces", "inspect", tmp_path / "\x1b[2J")
    assert "\\x1b" in refused("simulate", "\x1b[2J")
    assert printable("a\tb\r\x1b\x7f\x9b\u202e\udcff\u2028\nc é") == "a\\tb\\r\\x1b\\x7f\\x9b\\u202e\\udcff\\u2028\nc é"


def test_a_long_message_is_clipped(tmp_path):
    words = [str(tmp_path / "x"), "--format", "f" * 100_000]
    assert len(refused("traces", "inspect", *words)) < 3_000


def test_an_error_of_the_machine_is_a_sentence():
    @ProjectGroup("broken").command()
    def fail():
        raise OSError(28, "No space left on device", "file.parquet")

    group = ProjectGroup("broken", {"fail": fail})
    result = CliRunner().invoke(group, ["fail"])
    assert (result.exit_code, result.stderr) == (2, "Error: file.parquet: No space left on device\n")


# Processes


@pytest.fixture(autouse=True)
def signals_are_not_ignored():
    """As they are where tests run in the background of a shell; processes inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def command(name, *words):
    return [sys.executable, "-c", f"from sim.terminal.start import {name} as main; main()", *map(str, words)]


@pytest.mark.parametrize(("redirection", "status"), [(">/dev/full", 2), (">&-", 0), ("2>&-", 0), ("<&- >&- 2>&-", 0)])
def test_standard_streams_may_be_gone(redirection, status):
    shell = f"{sys.executable} -c 'from sim.terminal.start import simulate as s; s()' policies {redirection}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=60)
    assert done.returncode == status
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


@pytest.mark.parametrize("words", ["inspect none", "inspect", "inspect --none", "inspect t.csv >/dev/full"])
def test_where_nothing_can_be_said_the_status_says_it(words, trace):
    shell = f"{sys.executable} -c 'from sim.terminal.start import traces as t; t()' {words} 2>/dev/full"
    assert subprocess.run(["bash", "-c", shell], cwd=trace.parent, timeout=60).returncode == 2


def test_a_reader_may_be_gone():
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command("simulate", "policies"), stdout=writing, stderr=subprocess.PIPE, timeout=60)
    os.close(writing)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


def test_a_file_never_takes_the_place_of_a_closed_stream(trace, tmp_path):
    shell = f"{sys.executable} -c 'from sim.terminal.start import simulate as s; s()' \"$@\" 2>&-"
    words = ["run", str(trace), *POLICY, "--out", str(tmp_path / "out")]
    assert subprocess.run(["bash", "-c", shell, "-", *words], capture_output=True, timeout=60).returncode == 0
    assert open_run(tmp_path / "out/balance").manifest["valid"] is True


SWALLOWS = """
import signal, sys, time, weakref
from sim.terminal.console import ProjectGroup
class Thing: pass
def swallow(_): signal.raise_signal(signal.{name})
def body():
    thing = Thing()
    kept = weakref.ref(thing, swallow)  # what is raised in such a callback is dropped by Python
    del thing
    print("on", flush=True)
    try:
        time.sleep(60)
    finally:
        time.sleep(0.5)  # is not interrupted by the same stop
        print("closed", flush=True)
group = ProjectGroup("group")
group.command()(body)
sys.argv = ["group", "body"]
group.main()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_stop_that_was_swallowed_comes_again_until_it_is_heard(name):
    done = subprocess.run(
        [sys.executable, "-c", SWALLOWS.format(name=name)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 128 + signal.Signals[name]
    assert (done.stdout, done.stderr) == ("on\nclosed\n", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_at_any_instant_ends_a_command(number, trace, tmp_path):
    """At instants that spread over what the command takes here; whatever it does then, it ends, and says how."""
    words = command("simulate", "run", trace, *POLICY, "--out")
    begun_s = time.monotonic()
    subprocess.run([*words, tmp_path / "whole"], capture_output=True, check=True, timeout=120)
    whole_s = time.monotonic() - begun_s
    for i in range(8):
        process = subprocess.Popen(
            [*words, tmp_path / str(i)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        time.sleep(whole_s * (i + 0.5) / 8)
        process.send_signal(number)
        _, complaint = process.communicate(timeout=120)
        assert process.returncode in (128 + number, -number, 0, 1), complaint
        if process.returncode in (0, 1) and "KeyboardInterrupt" not in complaint:  # of Python's start, before ours
            manifest = json.loads((tmp_path / str(i) / "balance" / "manifest.json").read_text())
            assert manifest["valid"] is (process.returncode == 0)


def test_a_run_of_nothing_is_not_valid(tmp_path):
    load = ["poisson[rate=0.001,duration=1]", "--graph", "bert", "--policy", "balance"]
    assert "has no arrival within 1 s" in refused("simulate", "load", *load, "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_no_unicode_is_printed_as_an_escape(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", stream)
    echo("é \udcff")
    assert stream.buffer.getvalue() == "é \\udcff\n".encode()
