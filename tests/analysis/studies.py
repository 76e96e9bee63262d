"""Data sets without a simulator: the folder of a study, with results of a known distribution."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

POLICIES = {"balance": 1.0, "affinity": 0.8, "keepalive[ttl=60]": 1.0}  # factor of all latencies


def write_study(
    path: Path,
    *,
    policies: Mapping[str, float] = POLICIES,
    factors: Mapping[str, Sequence[Any]] | None = None,
    seeds: Sequence[int] = range(6),
    report: Mapping[str, Any] | None = None,
    change: Mapping[tuple[str, int], Mapping[str, Any]] | None = None,
) -> Path:
    """Write study.yaml and results.parquet: latencies of a seed go up and down together, times the policy's factor.

    change: columns of the rows of a policy and seed.
    """
    path.mkdir(parents=True)
    factors = {"gpus": [2, 4]} if factors is None else factors
    study = {
        "name": "made up",
        "scenario": {"traces": ["trace"]},
        "factors": {"policy": list(policies), **{name: list(values) for name, values in factors.items()}},
        "seeds": list(seeds),
        **({} if report is None else {"report": dict(report)}),
    }
    (path / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")
    rows = [
        _row(policy, seed, dict(zip(factors, values, strict=True)), factor)
        | dict((change or {}).get((policy, seed), {}))
        for values in itertools.product(*factors.values())
        for policy, factor in policies.items()
        for seed in seeds
    ]
    pd.DataFrame(rows).to_parquet(path / "results.parquet", index=False)
    return path


def _row(policy: str, seed: int, point: Mapping[str, Any], factor: float) -> dict[str, Any]:
    common = 1 + 0.3 * np.random.default_rng([seed, 1]).random()
    noise = 1 + 0.01 * np.random.default_rng([seed, *policy.encode(), *str(point).encode()]).standard_normal()
    latency_s = factor * common * noise
    return {
        "run": f"{policy}-{seed}-{'-'.join(map(str, point.values()))}",
        "policy": policy,
        "seed": seed,
        **point,
        "valid": True,
        "reasons": "",
        "warnings": "",
        "error": "",
        "invocations": 1000.0,
        "completed": 1000.0,
        "latency_s.mean": latency_s,
        "latency_s.p50": 0.7 * latency_s,
        "latency_s.p90": 2.3 * latency_s,
        "latency_s.p99": 4.6 * latency_s,
        "goodput_per_s": 10 / latency_s,
        "slo_attainment_frac": np.nan,
        "jain_fairness": 0.9,
    }
