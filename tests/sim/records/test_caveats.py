"""What a run warns of before it begins."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from sim.cli import main

REQUESTS = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.98,374,44\n2023-11-16 18:17:04.03,396,109\n"
CAVEAT = "foreign durations: they are those of llama2-70b on 8 a100-80gb, by tokens, not of "


@pytest.fixture
def trace(tmp_path):
    (tmp_path / "conversation.csv").write_text(REQUESTS)
    return tmp_path / "conversation.csv"


def simulate(*arguments):
    done = CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


@pytest.mark.parametrize("converted", [False, True])
def test_durations_of_a_model_on_other_gpus_are_told(tmp_path, trace, converted):
    if converted:
        from traces.open import open_trace
        from traces.writer import write_native

        write_native(open_trace(trace), tmp_path / "own.parquet")
        trace = tmp_path / "own.parquet"
    flags = ["--policy", "balance", "--policy", "affinity", "--functions", "trace", "-o", tmp_path / "out"]
    done = simulate("run", trace, *flags)
    assert done.stderr.count(CAVEAT) == 1
    assert "its memory isn't known: a function takes 140 MiB. With --functions catalogue only" in done.stderr
    (warning,) = json.loads((tmp_path / "out/affinity/manifest.json").read_text())["warnings"]
    assert warning.startswith(CAVEAT)
    assert CAVEAT not in simulate("run", trace, *flags, "--force", "--quiet").stderr


def test_functions_of_a_catalogue_have_durations_of_their_own(tmp_path, trace):
    done = simulate("run", trace, "--policy", "balance", "-o", tmp_path / "out")
    assert CAVEAT not in done.stderr
    assert json.loads((tmp_path / "out/balance/manifest.json").read_text())["warnings"] == []


def test_rows_of_a_map_that_name_nothing_are_told(tmp_path, trace):
    (tmp_path / "map.csv").write_text("function,graph\nconversation,bert\nconversatio,bert\ncode,bert\n")
    done = simulate("run", trace, "--policy", "balance", "--map", tmp_path / "map.csv", "-o", tmp_path / "out")
    told = "2 of 3 rows name no function that is invoked, such as 'conversatio'"
    assert f"{tmp_path / 'map.csv'}: {told}\n" in done.stderr
