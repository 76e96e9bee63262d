"""What the invocations of synthetic functions take: time and memory, of CPU functions or of language models on GPUs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from traces import llm_facts
from traces.arrivals.durations import POINTS
from traces.synth import facts
from traces.synth.population import Population
from traces.units import MIB, Floats, Ints

_N_DRAWS = 20_000  # of a deployment, for its percentiles: the 99th to about 1 %


@dataclass(frozen=True)
class Work:
    """average_ms: (n_functions,). points_ms: their percentiles POINTS, (n_functions, 7). memory_mb: (n_apps,) in MiB.

    load_s: the time to load a function's model, (n_functions,); None where functions have no model.
    """

    average_ms: Ints
    points_ms: Ints
    memory_mb: Ints
    load_s: Floats | None = None


def azure_work(population: Population, rng: np.random.Generator) -> Work:
    """Durations and memory as published for Azure Functions 2019.

    Means are LogNormal, correlated with the rank of the rate; per function a LogNormal spread around them. Memory is
    one Burr XII average an app.
    """
    n = len(population)
    rho = facts.RATE_DURATION_CORRELATION
    score = rho * normal_quantile(population.rate_rank) + math.sqrt(1 - rho**2) * rng.standard_normal(n)
    mean_ms = 1e3 * np.minimum(np.exp(facts.DURATION_MU + facts.DURATION_SIGMA * score), facts.DURATION_MAX_S)
    sigma = np.interp(rng.random(n), facts.SPREAD_CDF, facts.SPREAD_SIGMA)
    z = normal_quantile(np.clip(np.array(POINTS) / 100, facts.EXTREME_P, 1 - facts.EXTREME_P))
    points_ms = (mean_ms * np.exp(-(sigma**2) / 2))[:, None] * np.exp(sigma[:, None] * z)
    memory_mb = burr_mb(rng.random(len(population.app_size)))
    return Work(_whole(mean_ms), np.rint(points_ms).astype(np.int64), _whole(memory_mb))


def llm_work(population: Population, rng: np.random.Generator) -> Work:
    """Durations of a language model that serves one request at a time, memory and load times of models on GPUs.

    A function is one of the measured deployments and answers one of two kinds of requests. A request takes the time
    of its prompt and that of each further token. GPU memory is LogNormal through two published quantiles; an app needs
    the sum over its functions.
    """
    tables = [
        1e3 * _requests_s(deployment, kind, rng) for deployment in llm_facts.DEPLOYMENTS for kind in llm_facts.TOKENS
    ]
    n = len(population)
    of_function = rng.integers(len(tables), size=n)
    average_ms = np.array([draws.mean() for draws in tables])
    points_ms = np.array([np.percentile(draws, POINTS) for draws in tables])
    p50, p99 = llm_facts.MEMORY_BYTES
    sigma = math.log(p99 / p50) / NormalDist().inv_cdf(0.99)
    memory_mb = np.bincount(population.app, p50 / MIB * np.exp(sigma * rng.standard_normal(n))).astype(np.float64)
    load_ms = np.exp(np.interp(rng.random(n), llm_facts.LOAD_P, np.log(llm_facts.LOAD_MS)))
    return Work(
        _whole(average_ms)[of_function],
        np.rint(points_ms).astype(np.int64)[of_function],
        _whole(memory_mb),
        load_ms / 1e3,
    )


SERVICES: Mapping[str, Callable[[Population, np.random.Generator], Work]] = {"azure": azure_work, "llm": llm_work}


def _requests_s(deployment: tuple[str, str, int], kind: str, rng: np.random.Generator) -> Floats:
    """Durations of requests. Lengths of prompt and answer are independent: their rank correlation is below 0.1."""
    prompt, answer = (
        np.exp(np.interp(rng.random(_N_DRAWS), llm_facts.TOKENS_P, np.log(tokens))) for tokens in llm_facts.TOKENS[kind]
    )
    return llm_facts.service_s(deployment, prompt, np.rint(answer))


def _whole(values: Floats) -> Ints:
    """Rounded, and at least 1."""
    return np.maximum(1, np.rint(values)).astype(np.int64)


def burr_mb(p: Floats) -> Floats:
    """Quantiles of the memory of apps: Burr XII, F(x) = 1 - (1 + (x / scale)^c)^-k."""
    tail = (1 - p) ** (-1 / facts.MEMORY_BURR_K) - 1
    return np.asarray(facts.MEMORY_BURR_SCALE_MB * tail ** (1 / facts.MEMORY_BURR_C))


def normal_quantile(p: Floats) -> Floats:
    """Quantiles of the standard normal distribution."""
    inverse = NormalDist().inv_cdf
    return np.array([inverse(x) for x in p.tolist()])
