"""What must hold of the law for any model, and that its own points give a model back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.models.mig.profiles import profiles_of
from sim.models.mig.scaling import A100, Scaling, fitted

PROFILES = [profile for profile in profiles_of("a100-80").values() if not profile.name.endswith("+me")]
ONE, WHOLE = profiles_of("a100-80")["1g.10gb"], profiles_of("a100-80")["7g.80gb"]
BATCHES = (1, 2, 4, 8, 16, 32, 64)


@st.composite
def models(draw):
    """A model with any host time, serial part, and work that grows with the batch."""
    per_input_s = draw(st.floats(1e-5, 1e-1))
    first = draw(st.floats(0, 5))
    works = {batch: per_input_s * (first + batch) for batch in BATCHES}
    return Scaling(A100, draw(st.floats(1e-6, 0.1)), draw(st.floats(0, 0.1)), works)


@given(model=models(), batch=st.integers(1, 200), n=st.integers(1, 48))
def test_more_slices_are_never_slower(model, batch, n):
    for small in PROFILES:
        for large in PROFILES:
            if large.compute_slices >= small.compute_slices and large.memory_slices >= small.memory_slices:
                assert model.latency_s(large, batch, n) <= model.latency_s(small, batch, n) * (1 + 1e-9)


@given(model=models(), profile=st.sampled_from(PROFILES), batch=st.integers(1, 200), n=st.integers(1, 47))
def test_processes_help_within_what_they_do_alone_and_what_the_gpu_can(model, profile, batch, n):
    alone, more = model.throughput_per_s(profile, batch), model.throughput_per_s(profile, batch, n + 1)
    assert model.throughput_per_s(profile, batch, n) * (1 - 1e-9) <= more
    assert more <= (n + 1) * alone * (1 + 1e-9)
    assert more <= batch / model.gpu_s(profile, batch) * (1 + 1e-9)
    assert model.latency_s(profile, batch, n) <= model.latency_s(profile, batch, n + 1) * (1 + 1e-9)


@given(model=models(), profile=st.sampled_from(PROFILES), batch=st.integers(1, 200), n=st.integers(1, 48))
def test_throughput_and_latency_obey_littles_law(model, profile, batch, n):
    in_flight = model.throughput_per_s(profile, batch, n) * model.latency_s(profile, batch, n)
    assert in_flight == pytest.approx(n * batch)


@given(model=models(), profile=st.sampled_from(PROFILES), batch=st.sampled_from(BATCHES))
def test_one_process_takes_the_longer_of_host_and_gpu_and_what_nothing_hides(model, profile, batch):
    beyond_s = model.latency_s(profile, batch) - A100.batch_s - A100.input_s * batch
    longer_s = max(model.host_s, model.gpu_s(profile, batch))
    assert longer_s * (1 - 1e-9) <= beyond_s + 1e-9
    assert beyond_s <= 2 ** (1 / A100.sharpness) * longer_s + 1e-9


def test_many_processes_saturate_the_gpu():
    model = Scaling(A100, 0.001, 0.0, {1: 0.002})
    for profile in PROFILES:
        assert model.throughput_per_s(profile, 1, 48) == pytest.approx(1 / model.gpu_s(profile, 1), rel=0.02)


def test_bandwidth_goes_with_memory_slices():
    three, four = profiles_of("a100-80")["3g.40gb"], profiles_of("a100-80")["4g.40gb"]
    by_memory = Scaling(replace(A100, memory_frac=1.0), 0.0, 0.0, {1: 1.0})
    by_compute = Scaling(replace(A100, memory_frac=0.0), 0.0, 0.0, {1: 1.0})
    assert by_memory.gpu_s(three, 1) == by_memory.gpu_s(four, 1) == 1 / 4
    assert by_compute.gpu_s(three, 1) == pytest.approx(1 / 3)


def test_batches_that_were_not_measured_lie_between_and_beyond():
    model = Scaling(A100, 0.001, 0.0, {2: 0.2, 4: 0.3})
    assert [model.gpu_s(ONE, batch) for batch in (1, 2, 3, 4, 8)] == pytest.approx([0.1, 0.2, 0.25, 0.3, 0.6])


def seen(model, profiles=(ONE, WHOLE), batches=BATCHES):
    return {(profile, batch): model.latency_s(profile, batch) for profile in profiles for batch in batches}


@given(
    host_s=st.floats(1e-3, 5e-3),
    serial_frac=st.sampled_from([0.004, 0.012, 0.02, 0.04]),
    per_input_s=st.floats(4e-3, 2e-2),
)
def test_points_of_the_law_give_a_model_back_that_does_not_hide_behind_its_host(host_s, serial_frac, per_input_s):
    model = Scaling(A100, host_s, serial_frac, {batch: per_input_s * batch for batch in BATCHES})
    again = fitted(seen(model))
    for profile in PROFILES:
        for batch in BATCHES:
            for n in (1, 2, 5):
                assert again.latency_s(profile, batch, n) == pytest.approx(model.latency_s(profile, batch, n), rel=0.05)


def test_work_that_hides_behind_the_host_is_taken_from_the_next_larger_batch():
    again = fitted({(ONE, 1): 0.0104, (ONE, 2): 0.0104, (ONE, 32): 0.05, (WHOLE, 1): 0.0104, (WHOLE, 2): 0.0104})
    assert again.host_s == pytest.approx(0.01, rel=0.05)
    assert again.work_s[2] / 2 == again.work_s[1] == pytest.approx(again.work_s[32] / 32)


@pytest.mark.parametrize("alone_s", [{(WHOLE, 8): 0.1}, {(ONE, 1): 1e-6}, {(ONE, 1): 1e5, (WHOLE, 1): 1e-9}])
def test_few_and_odd_points_give_a_model_too(alone_s):
    again = fitted(alone_s)
    for profile in PROFILES:
        assert 0 < again.latency_s(profile, 4, 3) < float("inf")
