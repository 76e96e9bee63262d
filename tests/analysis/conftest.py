"""Run directories for the tests of analysis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.dataset import Dataset, open_dataset
from tests.analysis.mmc_runs import make_tables, write_run
from tests.analysis.sweeps import write_stays, write_sweep

MakeRun = Callable[..., Path]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Write a run of a policy under ``runs/<name>``, from an M/M/c queue or from tables that are given."""

    def make(
        policy: str = "fifo",
        *,
        name: str | None = None,
        tables: Mapping[str, pd.DataFrame] | None = None,
        simulated_s: float = 600.0,
        manifest: Mapping[str, Any] | None = None,
        warnings: Sequence[str] | None = None,
        **options: Any,
    ) -> Path:
        tables = tables or make_tables(policy, duration_s=simulated_s, **options)
        path = tmp_path / "runs" / (name or policy)
        return write_run(path, policy, tables, simulated_s=simulated_s, manifest=manifest, warnings=warnings)

    return make


@pytest.fixture(scope="session")
def small_sweep(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A small data set of real runs, see ``tests.analysis.sweeps``. Nobody may write to it."""
    return open_dataset(write_sweep(tmp_path_factory.mktemp("small")))


@pytest.fixture(scope="session")
def small_stays(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Two runs that tell what was in device memory when. Nobody may write to it."""
    return open_dataset(write_stays(tmp_path_factory.mktemp("stays")))
