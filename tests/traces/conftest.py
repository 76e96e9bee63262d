"""Fixtures: a writer of tiny traces, and the real samples where there are any."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.traces.trace_files import Azure2019

SAMPLES = Path(__file__).parents[3] / "shared" / "traces"


@pytest.fixture
def azure2019(tmp_path: Path) -> Azure2019:
    return Azure2019(tmp_path)


@pytest.fixture
def sample() -> Callable[[str], Path]:
    """Path of a real sample; skips the test where there is none."""

    def find(name: str) -> Path:
        path = SAMPLES / name
        if not path.exists():
            pytest.skip(f"no real sample at {path}")
        return path

    return find
