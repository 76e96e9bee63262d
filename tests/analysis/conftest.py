"""Run directories for the tests of analysis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.analysis.mmc_runs import make_tables, write_run

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
