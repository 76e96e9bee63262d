"""The three benchmark graphs against NumPy in float64, also where no size is a multiple of a tile."""

import numpy as np
import pytest

from sim.models.workloads import cgemm, jacobi, sgemm

RTOL = 2e-5  # of the largest entry: float32 sums of up to 200 terms


def close(result, expected, rtol=RTOL):
    np.testing.assert_allclose(result, expected, rtol=0, atol=rtol * np.abs(expected).max())


def complex_normal(rng, *shape):
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


@pytest.mark.parametrize("n", [1, 5, 64, 100, 193])
def test_sgemm(device, run_graph, n):
    rng = np.random.default_rng(n)
    arrays = {k: rng.standard_normal((n, n)).astype(np.float32) for k in ("x", "W0", "W1", "W2")}
    result = run_graph(device, sgemm.build(n), arrays)
    expected = arrays["x"].astype(np.float64)
    for name, weights in (("h0", "W0"), ("h1", "W1"), ("y", "W2")):
        expected = expected @ arrays[weights]
        close(result[name].reshape(n, n), expected)


@pytest.mark.parametrize(("m", "k", "n"), [(1, 1, 1), (100, 64, 96), (7, 33, 50), (130, 17, 200), (100, 16, 700)])
def test_cgemm(device, run_graph, m, k, n):
    rng = np.random.default_rng(m)
    a, b, d = (complex_normal(rng, *shape) for shape in ((m, k), (k, n), (n,)))
    result = run_graph(device, cgemm.build(m, k, n), {"A": a, "B": b, "d": d})
    product = a.astype(np.complex128) @ b
    close(result["C"].reshape(m, n), product)
    close(result["e"], product @ d)


def system(n):
    rng = np.random.default_rng(n)
    a = (rng.standard_normal((n, n)) * 0.5 / np.sqrt(n)).astype(np.float32)
    return a, rng.standard_normal(n)


@pytest.mark.parametrize("n", [1, 5, 64, 130])
@pytest.mark.parametrize("start", [np.nan, np.inf, -1e300, 0.0])
def test_jacobi_converges_from_any_memory(device, run_graph, n, start):
    a, b = system(n)
    result = run_graph(device, jacobi.build(n, sweeps=200), {"A": a, "b": b, "x": np.full(n, start)})
    close(result["x"], np.linalg.solve(a + np.eye(n), b), rtol=1e-12)
    assert 0 <= result["residual"][0] < 1e-24


def test_jacobi_sweeps(device, run_graph):
    """Four sweeps from a known start: x of the fourth, x_new of the third, residual of the last change alone."""
    n = 70
    a, b = system(n)
    x = np.random.default_rng(0).standard_normal(n)
    result = run_graph(device, jacobi.build(n, sweeps=4), {"A": a, "b": b, "x": x})
    states = [x]
    for _ in range(4):
        rest = a.astype(np.float64) - np.diag(a.diagonal())
        states.append((b - rest @ states[-1]) / (a.diagonal().astype(np.float64) + jacobi.DIAGONAL))
    close(result["x"], states[4], rtol=1e-13)
    close(result["x_new"], states[3], rtol=1e-13)
    np.testing.assert_allclose(result["residual"][0], ((states[4] - states[3]) ** 2).sum(), rtol=1e-12)
