"""One profile for all tests that Hypothesis draws, how fast a machine is decides no test; and what ``-m gpu`` reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

TESTS = Path(__file__).parent
GPU_ROOMS = {"contract", "replay"}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With ``-m gpu`` other rooms are not even imported: a machine with a GPU need not have what they need."""
    other = collection_path.parent == TESTS and collection_path.name not in GPU_ROOMS
    return True if other and config.getoption("markexpr") == "gpu" else None
