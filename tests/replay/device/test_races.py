"""Kernels give the same bits whatever the order of threads, and those with a missing barrier don't."""

import re

import numpy as np
import pytest

from replay.device.cpu.host import HostCuda
from replay.kernels.sources import source_path

SCHEDULES = (0, 1, 2, 3)
BARRIER = re.compile(r"__syncthreads\(\);")
SIZES = {"sgemm": (40, 50, 90), "cgemm": (30, 50, 70)}


def normal(dtype, *shape):
    rng = np.random.default_rng(1)
    values = rng.standard_normal(shape)
    return (values + 1j * rng.standard_normal(shape) if dtype == "complex64" else values).astype(dtype)


def product(run_kernel, device, source, name):
    m, n, k = SIZES[name]
    dtype, block = ("float32", 128) if name == "sgemm" else ("complex64", 320)
    arrays = [normal(dtype, m, k), normal(dtype, k, n), np.zeros((m, n), dtype)]
    return run_kernel(device, source, name, [m, n, k, *arrays], block=(block, 1, 1))[2]


def times_vector(run_kernel, device, source, name):
    arrays = [normal("complex64", 2, 600), normal("complex64", 600), np.zeros(2, "complex64")]
    return run_kernel(device, source, name, [600, *arrays], grid=2, block=(512, 1, 1))[2]


KERNELS = {"sgemm": ("sgemm", product), "cgemm": ("cgemm", product), "cgemv": ("cgemm", times_vector)}


def results(run_kernel, name, source):
    return [KERNELS[name][1](run_kernel, HostCuda(debug=True, schedule=s).device(), source, name) for s in SCHEDULES]


@pytest.mark.parametrize("name", KERNELS)
def test_schedules_agree(run_kernel, name):
    first, *others = results(run_kernel, name, source_path(KERNELS[name][0]))
    assert np.isfinite(first).all()
    for other in others:
        np.testing.assert_array_equal(other, first)


@pytest.mark.parametrize(
    ("name", "barrier"), [("sgemm", 0), ("sgemm", 1), ("cgemm", 0), ("cgemm", 1), ("cgemv", 2), ("cgemv", 3)]
)
def test_a_removed_barrier_shows(run_kernel, name, barrier):
    text = source_path(KERNELS[name][0]).read_text()
    places = list(BARRIER.finditer(text))
    assert len(places) == (2 if name == "sgemm" else 4)
    start, end = places[barrier].span()
    broken = results(run_kernel, name, text[:start] + text[end:])
    assert any(not np.array_equal(other, broken[0]) for other in broken[1:])
