"""The ``analyze`` command: what it prints, where, and its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from analysis.cli import main
from analysis.figures.runs import FIGURES
from analysis.figures.style import MAX_RUNS
from sim import __version__
from sim.records.totals import TIMES
from tests.analysis.mmc_runs import make_tables

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
REPO = Path(__file__).resolve().parents[2]


def analyze(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


def check_mistake(result, *parts):
    """One sentence on stderr, nothing on stdout, exit code 2."""
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    for part in parts:
        assert part in result.stderr


COMMANDS = ["table", "plot", "figure", "paper", "compare", "interval", "timeline", "why", "hit-ratio", "report"]


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_help_has_an_example(command, flag):
    result = analyze(*command, flag)
    assert result.exit_code == 0
    example = result.output.split("Example:\n")[1].splitlines()[0].split()
    assert example[0] == "analyze"
    assert command in ((), (example[1],))


def test_the_version_is_that_of_the_project():
    assert analyze("--version").output == f"analyze, version {__version__}\n"


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from analysis.cli import main; main(['plot', '-h'], standalone_mode=False);"
        "print([m for m in ('numpy', 'pandas', 'pyarrow', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, cwd=REPO, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_table_needs_the_summaries_alone(make_run):
    path = make_run(n=50)
    for file in path.glob("*.parquet"):
        file.unlink()
    result = analyze("table", path.parent)
    assert result.exit_code == 0
    assert "fifo" in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("form", "start"),
    [
        ("text", "policy  "),
        ("csv", "label,path,gpus,seed,window,device,policy,"),
        ("markdown", "| policy |"),
        ("latex", "\\begin{tabular}"),
    ],
)
def test_each_format(make_run, form, start):
    result = analyze("table", make_run(n=50), "--format", form)
    assert result.exit_code == 0
    assert result.stdout.startswith(start)
    assert result.stdout.endswith("\n")


def test_json_is_an_array_of_summaries(make_run):
    paths = [make_run(policy, n=50) for policy in ("sjf", "fifo")]
    value = json.loads(analyze("table", *paths, "--json").stdout)
    assert [run["policy"] for run in value] == ["sjf", "fifo"]


def test_exact_percentiles_are_those_of_the_table(make_run):
    path = make_run(n=5000)
    summary = json.loads((path / "summary.json").read_text())
    (path / "summary.json").write_text(json.dumps(summary | {"latency_s": None, "queue_s": None, "pool_s": None}))
    (found,) = json.loads(analyze("table", path, "--json", "--exact", "--no-verify").stdout)
    table = pq.read_table(path / "invocations.parquet").to_pandas()
    table = table[table.status == "completed"]
    assert found["quantiles"] == {"from": "values", "error_frac": 0.0}
    for name, (from_at_s, to_at_s) in TIMES.items():
        times_s = table[to_at_s] - table[from_at_s]
        expected = {"mean": pytest.approx(times_s.mean()), "max": times_s.max()}
        expected |= {key: pytest.approx(times_s.quantile(share), rel=1e-12) for key, share in QUANTILES.items()}
        assert found[name] == expected
    assert {k: v for k, v in found.items() if k in summary and k not in TIMES} == {
        k: v for k, v in summary.items() if k not in TIMES
    }


def test_exact_percentiles_of_nothing_are_none(make_run):
    tables = make_tables("fifo", n=50)
    tables["invocations"] = tables["invocations"].assign(status="failed")
    (found,) = json.loads(analyze("table", make_run(tables=tables), "--json", "--exact").stdout)
    assert set(found["latency_s"].values()) == {None}


def test_exact_percentiles_need_the_table(make_run):
    path = make_run(n=50)
    (path / "invocations.parquet").unlink()
    check_mistake(analyze("table", path, "--exact"), "invocations.parquet: missing")


def test_plot_draws_every_figure_twice_and_prints_the_paths(make_run, tmp_path):
    make_run("sjf", n=100)
    folder = make_run("fifo", n=100).parent
    out = tmp_path / "deep" / "figures"
    out.mkdir(parents=True)
    (out / "latency_cdf.png").write_bytes(b"an old one, drawn by gpu-faas")
    result = analyze("plot", folder, "-o", out)
    assert result.exit_code == 0, result.stderr
    printed = result.stdout.splitlines()
    assert printed == [str(out / f"{name}.{suffix}") for name in FIGURES for suffix in ("pdf", "png")]
    assert sorted(map(str, out.iterdir())) == sorted(printed)
    assert (out / "latency_cdf.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("width", "inches"), [("column", 3.3), ("text", 7.0), ("4.5", 4.5)])
def test_figures_are_as_wide_as_asked_for(make_run, tmp_path, width, inches):
    result = analyze("plot", make_run(n=20), "--width", width, "--out", tmp_path)
    assert result.exit_code == 0, result.stderr
    header = (tmp_path / "latency_cdf.png").read_bytes()[16:20]
    assert int.from_bytes(header, "big") == pytest.approx(300 * inches, abs=1)


@pytest.mark.parametrize("width", ["page", "0", "-3", "nan", "inf", "2"])
def test_a_width_that_cant_be_is_told(make_run, tmp_path, width):
    result = analyze("plot", make_run(n=5), "--width", width, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert f"'{width}' must be column, text or a number of inches from 3 to 30" in result.stderr
    assert not (tmp_path / "out").exists()


def test_runs_are_called_what_a_user_calls_them(make_run, tmp_path):
    folder = make_run("sjf", n=20).parent
    make_run("fifo", n=20)
    names = ("--label", "one", "--label", "the other")
    table = analyze("table", folder, *names).stdout.splitlines()
    assert [line.split("  ")[0] for line in table[2:4]] == ["one", "the other"]
    assert [run["label"] for run in json.loads(analyze("table", folder, *names, "--json").stdout)] == [
        "one",
        "the other",
    ]
    assert analyze("table", folder, *names, "--format", "csv").stdout.splitlines()[2].startswith("the other,")
    assert analyze("plot", folder, *names, "-o", tmp_path).exit_code == 0
    for command in (("table",), ("plot", "-o", tmp_path)):
        check_mistake(analyze(*command, folder, "--label", "one"), "there are 2 runs and 1 labels")
        twice = ("--label", "one", "--label", "one")
        check_mistake(analyze(*command, folder, *twice), "--label 'one' is given to two runs")


@pytest.mark.parametrize("command", [("table",), ("plot", "-o", "unused")])
def test_what_is_no_run_is_told(tmp_path, command):
    check_mistake(analyze(*command, tmp_path / "none"), str(tmp_path / "none"), "no such run directory")
    check_mistake(analyze(*command, tmp_path), str(tmp_path), "neither a run directory nor a folder of runs")
    (tmp_path / "manifest.json").write_text('{"schema_version": 4}')
    check_mistake(analyze(*command, tmp_path), "manifest.json", "schema_version is 4")


def test_a_missing_column_is_told(make_run, tmp_path):
    path = make_run(n=20)
    table = pq.read_table(path / "invocations.parquet")
    pq.write_table(table.drop_columns(["arrival_at_s"]), path / "invocations.parquet")
    result = analyze("plot", path, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {path / 'invocations.parquet'}: ")
    assert "arrival_at_s" in result.stderr


def test_a_missing_table_is_told(make_run, tmp_path):
    path = make_run(n=20)
    (path / "functions.parquet").unlink()
    check_mistake(analyze("plot", path, "-o", tmp_path / "out"), "functions.parquet: missing")


def test_an_output_that_is_a_file_is_told(make_run, tmp_path):
    (tmp_path / "out").touch()
    result = analyze("plot", make_run(n=20), "-o", tmp_path / "out")
    check_mistake(result, str(tmp_path / "out"), "can't be written (Not a directory)")


@pytest.mark.parametrize("make", [Path.mkdir, lambda file: file.write_text("by hand")])
def test_what_is_no_figure_of_ours_is_not_replaced(make_run, tmp_path, make):
    file = tmp_path / "out" / "latency_cdf.pdf"
    file.parent.mkdir()
    make(file)
    result = analyze("plot", make_run(n=20), "-o", tmp_path / "out")
    check_mistake(result, "latency_cdf.pdf: is there already, and this command replaces only what it wrote itself")
    assert list(file.parent.iterdir()) == [file]


def test_too_many_runs_for_a_figure_are_told_before_any_is_read(make_run, tmp_path):
    for k in range(MAX_RUNS + 1):
        path = make_run(name=f"run{k:02}", n=5)
    for file in path.parent.glob("*/*.parquet"):
        file.unlink()
    result = analyze("plot", path.parent, "-o", tmp_path / "out")
    check_mistake(result, f"{MAX_RUNS + 1} runs are too many")
    assert not (tmp_path / "out").exists()


def test_a_command_without_a_run_shows_its_usage():
    assert analyze("table").exit_code == 2
    assert analyze("plot", "x").exit_code == 2


PRICES = "currency: EUR\ngpu_hour:\n  {name}: 2.0\n"


@pytest.fixture
def make_priced(make_run):
    """A run whose summary has these hours by name of a GPU."""

    def make(hours):
        run = make_run(n=50)
        file = run / "summary.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"gpu_hours_of": hours}))
        return run

    return make


def test_prices_make_a_column_of_costs(make_priced, tmp_path):
    run, file = make_priced({"Tesla T4": 2.0}), tmp_path / "prices.yaml"
    file.write_text(PRICES.format(name="Tesla T4"))
    assert json.loads(analyze("table", run, "--prices", file, "--json").stdout)[0]["cost"] == 4.0
    text = analyze("table", run, "--prices", file).stdout.splitlines()
    assert (text[0].split()[-1], text[1].split()[-1], text[2].split()[-1]) == ("cost", "EUR", "4.00")
    assert "cost" not in analyze("table", run).stdout


def test_prices_must_name_every_gpu(make_priced, tmp_path):
    run, file = make_priced({"Tesla T4": 2.0}), tmp_path / "prices.yaml"
    file.write_text(PRICES.format(name="Tesla T40"))
    check_mistake(analyze("table", run, "--prices", file), "unknown GPU 'Tesla T4', did you mean 'Tesla T40'?")
    file.write_text("gpu_hour: {Tesla T4: -1}")
    check_mistake(analyze("table", run, "--prices", file), "gpu_hour: Tesla T4", "must be a finite number, at least 0")
    file.write_text("[1]")
    check_mistake(analyze("table", run, "--prices", file), "prices.yaml: is [1], must be a mapping")


@pytest.fixture
def trace(tmp_path):
    """Functions a, b, a, b, c, a, each with 140 MiB."""
    file = tmp_path / "trace.csv"
    file.write_text("app,func,end_timestamp,duration\n" + "".join(
        f"x,{name},{second}.5,0.1\n" for second, name in enumerate("ababca", 1)
    ))  # fmt: skip
    return file


def test_the_hit_ratio_of_a_trace_is_printed_and_drawn(trace, tmp_path):
    size = 140 * 2**20
    found = analyze("hit-ratio", trace, "--functions", "trace", "--format", "csv", "-o", tmp_path / "hits.png")
    assert found.stdout.splitlines() == ["memory_bytes,hit_frac", f"{2 * size},{1 / 3}", f"{3 * size},0.5"]
    assert (tmp_path / "hits.png").read_bytes().startswith(b"\x89PNG")
    text = analyze("hit-ratio", trace, "--functions", "trace").stdout.splitlines()
    assert text[0].split() == ["hits", "%", "memory", "GB"]
    assert text[-3].split() == ["50.00", "0.4404"]
    assert text[-1] == "All functions together have 0.4404 GB; 6 requests"
    check_mistake(analyze("hit-ratio", trace, "-o", tmp_path / "hits.txt"), "the name of a figure must end in")
