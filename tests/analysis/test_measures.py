"""Names of what is measured."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis.measures import MEASURES, measure
from sim.errors import RunError


def test_a_short_name_tells_column_label_unit_and_the_better_way():
    p99 = measure("p99")
    assert (p99.column, p99.label, p99.unit, p99.better) == ("latency_s.p99", "p99 latency", "s", "lower")
    assert p99.axis == "p99 latency [s]"
    assert measure("jain").axis == "Jain's fairness"


@pytest.mark.parametrize(
    ("column", "unit"),
    [("pool_s.p90", "s"), ("link_bytes_per_s", "bytes/s"), ("gpu_frac.idle", "")],
)
def test_any_number_of_a_summary_is_a_measure_of_which_nobody_knows_the_better_way(column, unit):
    found = measure(column)
    assert (found.column, found.unit, found.better) == (column, unit, None)


def test_a_column_that_has_a_short_name_is_that_measure():
    for short in MEASURES.values():
        assert measure(short.column) is short


def test_quantiles_and_greatest_values_are_told_from_means():
    quantiles = {name for name in MEASURES if measure(name).quantile}
    of_latency = {"p50", "p90", "p99", "p999", "max-latency", "queue-p99"}
    assert quantiles == {*of_latency, "slowdown-p99", "function-slowdown-p99"}


def test_a_name_that_can_be_neither_is_refused_with_a_hint():
    with pytest.raises(RunError, match="unknown metric 'gooput', did you mean 'goodput'"):
        measure("gooput")


def test_values_come_as_numbers_and_an_absent_column_is_refused():
    frame = pd.DataFrame({"completed": [1, 2], "pool_s.p90": [0.5, 1.5]})
    assert measure("completed").of(frame).tolist() == [1.0, 2.0]
    with pytest.raises(RunError, match=r"did you mean 'pool_s.p90'"):
        measure("pool_s.p9").of(frame)
