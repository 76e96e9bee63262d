"""The ``traces`` command."""

import json
import re
import subprocess
import sys

import pytest

from sim import __version__
from traces.anomalies import RULES
from traces.cli import main
from traces.open import FORMATS


@pytest.fixture
def run(capsys):
    """Runs the command and gives what it printed: ``out`` and ``err``."""

    def run_command(*args, code=0):
        with pytest.raises(SystemExit) as exit:
            main([str(arg) for arg in args])
        printed = capsys.readouterr()
        assert exit.value.code == code, printed.err
        return printed

    return run_command


def test_inspect_prints_json(run, azure2019):
    azure2019.day(("a/f", {1: 3, 2: 1}), ("b/g", {1: 1}), ("c/never", {}))
    figures = json.loads(run("inspect", azure2019.path, "--window", "00:00-00:02", "--json").out)
    assert figures["format"] == "azure2019"
    assert (figures["functions"], figures["apps"], figures["invocations"]) == (2, 2, 5)
    assert figures["rate"]["mean_per_s"] == pytest.approx(5 / 120)
    assert figures["rate"]["busiest_minute_per_s"] == pytest.approx(4 / 60)
    assert (figures["popularity"]["top_function"], figures["popularity"]["top_1_frac"]) == ("a/f", 0.8)
    assert figures["duration_s"]["mean"] == pytest.approx(0.1)
    assert figures["mean_concurrency"] == pytest.approx(0.5 / 120)
    assert figures["triggers"] == {"http": {"functions_frac": 1.0, "invocations_frac": 1.0}}
    assert figures["duration_s"]["of_functions"][50] == pytest.approx(0.1)
    assert figures["memory_bytes"]["percentiles"][99] == 64 * 2**20
    assert figures["window_s"] == [0, 120]


def test_inspect_prints_a_table_with_rules(run, azure2019):
    azure2019.day(("a/f", {1: 1}))
    azure2019.durations(("a/f", -3, [5] * 7))
    lines = run("inspect", azure2019.path).out.splitlines()
    assert "window        00:00-24:00" in lines
    assert "functions     1 of 1 apps" in lines
    assert f"1  {RULES['average_not_positive']}" in lines
    header, durations = (next(line for line in lines if line.startswith(name)) for name in ("percentiles", "duration,"))
    assert len(header) == len(durations)
    assert durations.split()[2:] == ["0.005"] * 7


def test_inspect_prints_the_load_and_what_fleet_it_takes(run, tmp_path):
    file = tmp_path / "events.csv"
    file.write_text("app,func,end_timestamp,duration\na,f,90,90\na,g,60,60\n")
    lines = [line.partition("  ")[2].strip() for line in run("inspect", file).out.splitlines()]
    assert "2.5 invocations at a time in the mean, 2 in the busiest minute" in lines
    assert "5 / 4 / 3 GPUs for 50 / 70 / 90% utilisation, 4 / 3 / 3 in the busiest minute," in lines
    assert "if every invocation has a whole GPU for its duration, and starts warm" in lines


def test_inspect_sizes_no_fleet_by_durations_of_something_else(run, tmp_path):
    """Those of azure-llm follow from its tokens, for eight GPUs that serve one request."""
    (tmp_path / "conversation.csv").write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.98,374,44\n2023-11-16 18:17:04.03,396,109\n"
    )
    printed = run("inspect", tmp_path).out
    assert "fleet         unknown, since durations are those of llama2-70b on 8 a100-80gb, by tokens\n" in printed
    assert "GPUs for 50 / 70 / 90%" not in printed
    figures = json.loads(run("inspect", tmp_path, "--json").out)
    assert figures["duration_s"]["measured_on"] == "llama2-70b on 8 a100-80gb, by tokens"


def test_inspect_prints_long_durations_in_hours(run, tmp_path):
    file = tmp_path / "events.csv"
    file.write_text("app,func,end_timestamp,duration\na,f,36000,36000\na,g,36000,36000\n")
    output = run("inspect", file).out
    assert re.search(r"^duration, h( +10){7}$", output, re.MULTILINE)
    assert re.search(r"^duration of invocations, h( +10){7}$", output, re.MULTILINE)


def test_inspect_of_a_trace_without_memory(run, tmp_path):
    file = tmp_path / "events.csv"
    file.write_text("app,func,end_timestamp,duration\na,f,2,0\n")
    output = run("inspect", file, "--format", "azure2021").out
    assert re.search(r"^memory, MiB( +-){7}$", output, re.MULTILINE)
    assert re.search(r"^CV( +-){7}$", output, re.MULTILINE)


@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")])
def test_inspect_draws_a_figure(run, azure2019, tmp_path, suffix, magic):
    azure2019.day(("a/f", {1: 30, 2: 10}), ("b/g", {1: 1}))
    drawn = []
    for name in ("one", "two"):
        file = tmp_path / f"{name}{suffix}"
        assert "percentiles" in run("inspect", azure2019.path, "--plot", file).out
        drawn.append(file.read_bytes())
    assert drawn[0].startswith(magic)
    assert len(drawn[0]) > 10_000
    assert drawn[0] == drawn[1]
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("file", ["figure.gif", "nowhere/figure.png", "figure"])
def test_inspect_refuses_a_bad_figure_before_it_reads(run, tmp_path, file):
    error = run("inspect", tmp_path / "no-trace", "--plot", tmp_path / file, code=2).err
    assert error.startswith(f"Error: {tmp_path / file}: ")


def test_errors_are_one_sentence_and_exit_2(run, tmp_path):
    result = run("inspect", tmp_path / "nowhere", code=2)
    assert result.err.startswith("Error: ")
    assert result.err.count("\n") == 1
    assert result.out == ""


def test_synth_writes_what_info_reads(run, tmp_path):
    files = run("synth", "-o", tmp_path / "demo", "--functions", 9, "--minutes", 5, "--rate", 2).out.split()
    assert len(files) == 3
    figures = json.loads(run("inspect", tmp_path / "demo", "--window", "00:00-00:05", "--json").out)
    assert figures["functions"] == 9
    assert "--force" in run("synth", "-o", tmp_path / "demo", code=2).err
    run("synth", "-o", tmp_path / "demo", "--force")


@pytest.mark.parametrize("command", [["convert"], ["sample", "--functions", 1]])
@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("x.csv", "the name of a Parquet file must end in .parquet"),
        ("nowhere/x.parquet", "there is no directory"),
        ("old.parquet", "is there already; --force replaces it"),
    ],
)
def test_a_file_that_cant_be_written_is_refused_before_reading(run, tmp_path, command, name, rule):
    (tmp_path / "old.parquet").write_text("")
    error = run(*command, tmp_path / "no-trace", "-o", tmp_path / name, code=2).err
    assert error.startswith(f"Error: {tmp_path / name}: {rule}")


def test_formats_are_listed(run):
    output = run("formats").out
    assert all(name in output for name in FORMATS)


@pytest.mark.parametrize("command", [[], *([name] for name in main.commands)])
def test_every_help_has_an_example(run, command):
    assert "Example:\n    traces" in run(*command, "-h").out


def test_version(run):
    assert __version__ in run("--version").out


def test_help_imports_nothing_heavy():
    code = "import sys, traces.cli; print(sorted({'numpy', 'pandas', 'pyarrow', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
