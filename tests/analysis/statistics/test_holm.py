"""Holm's correction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.statistics.holm import holm


def test_the_example_by_hand():
    """0.01 x 4, 0.03 x 3 and 0.04 x 2, which is less than what comes before it, 0.20 x 1."""
    assert holm(np.array([0.04, 0.01, 0.2, 0.03])).tolist() == pytest.approx([0.09, 0.04, 0.2, 0.09])


def test_no_test_does_not_count():
    assert holm(np.array([np.nan, 0.02, np.nan, 0.03])).tolist() == pytest.approx(
        [np.nan, 0.04, np.nan, 0.04], nan_ok=True
    )
    assert len(holm(np.empty(0))) == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_adjusted_p_lies_between_p_and_bonferronis_and_keeps_the_order(values):
    p = np.array(values)
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(1, len(p) * p)).all()
    assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()
