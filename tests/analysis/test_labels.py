"""What runs are called: by that in which they differ, and no longer than that takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.labels import brief_policies, identity, labels, wrap_label
from analysis.runs import open_runs


@pytest.fixture
def made(make_run, tmp_path):
    """Make a run by its entries of the scenario, in a folder; the labels of all runs made so far."""

    def make(policy="fifo", name=None, gpus=4, calibration="v100-kaas", **entries):
        fleet = {"gpus": gpus, "calibration": calibration}
        number = sum(1 for _ in tmp_path.rglob("manifest.json"))
        make_run(
            policy.partition("[")[0] if "[" not in policy else "fifo",
            name=name or f"{number:02}",
            n=5,
            manifest={
                "policy": policy,
                "scenario": {"seed": 0, "window": None, **entries, "fleet": fleet},
                "calibration": {"name": calibration, "sha256": calibration},
            },
        )
        runs = open_runs([tmp_path / "runs"])
        return labels(runs, brief_policies(runs))

    return make


def test_runs_of_one_scenario_are_called_by_their_policies(made):
    assert made("fifo") == ["fifo"]
    assert made("sjf") == ["fifo", "sjf"]


def test_what_differs_is_told_and_nothing_else(made):
    made("fifo", gpus=1, window="08:00-09:00", rate_scale=0.5)
    assert made("fifo", gpus=8, window="08:00-09:00", rate_scale=0.5) == ["fifo, 1 GPU", "fifo, 8 GPUs"]
    assert made("sjf", gpus=8, window="08:00-09:00", rate_scale=0.5, seed=1) == [
        "fifo, 1 GPU, seed 0",
        "fifo, 8 GPUs, seed 0",
        "sjf, 8 GPUs, seed 1",
    ]


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        ({"window": "08:00-09:00"}, {"window": "09:00-10:00"}, ["fifo, 08:00-09:00", "fifo, 09:00-10:00"]),
        ({"calibration": "a100"}, {"calibration": "h100"}, ["fifo, a100", "fifo, h100"]),
        ({"limit": 10}, {"limit": None}, ["fifo, limit 10", "fifo"]),
        ({"traces": ["/d/a", "/d/b"]}, {"traces": ["/d/c"]}, ["fifo, traces a b", "fifo, traces c"]),
        ({"load": {"name": "nshot[n=1]"}}, {"load": {"name": "open"}}, ["fifo, load nshot[n=1]", "fifo, load open"]),
    ],
)
def test_settings_in_words(made, one, other, told):
    made(**one)
    assert made(**other) == told


def test_parameters_are_told_where_runs_of_a_policy_differ_in_them(made):
    made("mqfq[T=10,alpha=2]")
    assert made("affinity[penalty=10]") == ["mqfq", "affinity"]
    assert made("mqfq[T=10,alpha=3]") == ["mqfq[alpha=2]", "affinity", "mqfq[alpha=3]"]


def test_the_same_again_is_told_by_what_differs_in_the_paths(made):
    made(name="monday/fifo")
    assert made(name="tuesday/fifo") == ["fifo, monday", "fifo, tuesday"]
    assert made(name="tuesday/again") == ["fifo, monday/fifo", "fifo, tuesday/again", "fifo, tuesday/fifo"]
    assert made("sjf", name="sjf") == ["fifo, monday/fifo", "sjf", "fifo, tuesday/again", "fifo, tuesday/fifo"]


def test_a_setting_that_is_told_elsewhere_can_be_left_out(made, tmp_path):
    made(gpus=1)
    made(gpus=2, rate_scale=2.0)
    runs = open_runs([tmp_path / "runs"])
    assert labels(runs, ["a", "b"], without=["gpus"]) == ["a", "b, rate_scale 2"]


def test_a_replay_is_told_from_its_simulation(make_run):
    """By the device on which kernels ran, too: the calibration is only what its policy was told."""
    real = {"world": "replay", "replay": {"device": {"name": "A100"}}}
    runs = open_runs([make_run(name="a", n=5, manifest=real), make_run(name="b", n=5)])
    assert labels(runs, brief_policies(runs)) == ["fifo, A100, replay", "fifo, v100-kaas, sim"]
    assert [identity(run)["device"] for run in runs] == ["A100", "v100-kaas"]


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=200), st.integers(5, 60))
def test_wrapping_loses_nothing_but_spaces_and_fits(label, most):
    lines = wrap_label(label, most)
    assert "".join(lines).replace(" ", "") == label.replace(" ", "")
    assert all(len(line) <= most for line in lines)


def test_wrapping_breaks_after_commas():
    assert wrap_label("mqfq[T=10,alpha=2,beta=3]", 18) == ["mqfq[T=10,alpha=2,", "beta=3]"]
