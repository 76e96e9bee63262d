"""Service times of language models, against the measurements that their summary was made of."""

import csv
import math

import numpy as np
import pandas as pd
import pytest

from traces import llm_facts
from traces.arrivals.durations import POINTS
from traces.cli.synth import synth
from traces.open import open_trace
from traces.synth.azure2019 import write_azure2019
from traces.synth.population import draw_population
from traces.synth.work import SERVICES

KINDS = {"code": "code", "conversation": "conv"}


@pytest.fixture(scope="module")
def population():
    return draw_population(4000, 60, None, 0)


@pytest.fixture(scope="module")
def work(population):
    return SERVICES["llm"](population, np.random.default_rng(0))


def test_the_summary_is_that_of_the_measurements(sample):
    perf = pd.read_csv(sample("llm-splitwise-sim") / "perf_model.csv")
    chosen = perf[(perf.batch_size == 1) & (perf.token_size == 128) & ~perf.hardware.str.endswith("pcap")]
    groups = chosen.groupby(["model", "hardware", "tensor_parallel"])
    assert set(groups.groups) == set(llm_facts.DEPLOYMENTS)
    for deployment, rows in groups:
        prompt_ms, token_ms = llm_facts.DEPLOYMENTS[deployment]
        assert rows.groupby("prompt_size").prompt_time.median().to_dict() == pytest.approx(
            dict(zip(llm_facts.PROMPT_TOKENS, prompt_ms, strict=True)), abs=0.06
        )
        assert rows.token_time.median() == pytest.approx(token_ms, abs=0.06)


def test_a_request_takes_its_prompt_and_its_further_tokens(sample):
    """The sum that durations are made of is the measured time from end to end, within 8 %."""
    perf = pd.read_csv(sample("llm-splitwise-sim") / "perf_model.csv")
    for (model, hardware, gpus), (prompt_ms, token_ms) in llm_facts.DEPLOYMENTS.items():
        rows = perf[(perf.model == model) & (perf.hardware == hardware) & (perf.tensor_parallel == gpus)]
        rows = rows[(rows.batch_size == 1) & (rows.token_size == 128)]
        measured = rows.groupby("prompt_size").e2e_time.median()
        for tokens, of_prompt in zip(llm_facts.PROMPT_TOKENS, prompt_ms, strict=True):
            assert of_prompt + 127 * token_ms == pytest.approx(measured[tokens], rel=0.08)


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_are_those_of_the_published_requests(sample, kind):
    requests = pd.read_csv(sample("azure-llm-2023") / f"AzureLLMInferenceTrace_{KINDS[kind]}.csv")
    for column, tokens in zip(("ContextTokens", "GeneratedTokens"), llm_facts.TOKENS[kind], strict=True):
        assert requests[column].quantile(list(llm_facts.TOKENS_P)).to_numpy() == pytest.approx(tokens, abs=1)
    assert abs(requests.ContextTokens.corr(requests.GeneratedTokens, method="spearman")) < 0.1


def test_durations_are_those_of_requests_in_full(sample):
    """Functions of the fastest deployment and the kind with long answers, against every published request."""
    requests = pd.read_csv(sample("azure-llm-2023") / "AzureLLMInferenceTrace_conv.csv")
    work = SERVICES["llm"](draw_population(200, 60, None, 0), np.random.default_rng(1))
    expected = []
    for prompt_ms, token_ms in llm_facts.DEPLOYMENTS.values():
        in_ms = np.interp(requests.ContextTokens, llm_facts.PROMPT_TOKENS, prompt_ms)
        expected.append(np.percentile(in_ms + token_ms * (requests.GeneratedTokens - 1), [25, 50, 75]))
    points = work.points_ms[:, [POINTS.index(p) for p in (25, 50, 75)]]
    for quartiles in expected:
        nearest = np.abs(np.log(points / quartiles)).max(axis=1).min()
        assert nearest < 0.1


def test_the_command_offers_every_service():
    assert next(p.type.choices for p in synth.params if p.name == "service") == tuple(SERVICES)


def test_functions_are_of_all_deployments_and_kinds(work):
    assert len(np.unique(work.average_ms)) == len(llm_facts.DEPLOYMENTS) * len(llm_facts.TOKENS)
    assert (np.diff(work.points_ms, axis=1) >= 0).all()


def test_load_times_have_the_published_quantiles(work):
    expected = np.array(llm_facts.LOAD_MS[1:-1]) / 1e3
    assert np.quantile(work.load_s, llm_facts.LOAD_P[1:-1]) == pytest.approx(expected, rel=0.1)


def test_memory_has_the_published_quantiles(population, work):
    """Of apps with a single function, in bytes."""
    alone = work.memory_mb[population.app_size == 1] * 2**20
    assert np.quantile(alone, [0.5, 0.99]) == pytest.approx(llm_facts.MEMORY_BYTES, rel=0.08)
    assert np.log(alone).std() == pytest.approx(math.log(39.6 / 24.8) / 2.326, rel=0.1)


def test_a_trace_of_models_has_a_table_of_load_times(tmp_path):
    write_azure2019(tmp_path, n_functions=20, service="llm")
    with (tmp_path / "load_times.csv").open() as file:
        rows = list(csv.DictReader(file))
    trace = open_trace(tmp_path)
    assert [row["function"] for row in rows] == [f.key for f in trace.functions]
    assert all(0 < float(row["load_s"]) < 60 for row in rows)
    assert min(f.memory_bytes for f in trace.functions) > 10e9
    assert trace.source.anomalies == {}


def test_the_next_trace_without_models_has_none(tmp_path):
    write_azure2019(tmp_path, n_functions=20, service="llm")
    write_azure2019(tmp_path, n_functions=20, overwrite=True)
    assert not (tmp_path / "load_times.csv").exists()
