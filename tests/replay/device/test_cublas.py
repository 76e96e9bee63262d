"""cuBLAS through CuPy: streams of either version, and one handle of errors and constants; CuPy itself is made up."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from replay.device.cublas import CupyCublas


class External:
    """A stream that isn't CuPy's own; ``current`` is weak, as CuPy's is."""

    current: list[int] = []  # noqa: RUF012

    def __init__(self, ptr):
        self.ptr = ptr

    def use(self):
        External.current = [self.ptr]

    def __del__(self):
        External.current = []


class Stream13:
    pass


class Stream14:
    @classmethod
    def from_external(cls, stream):
        version, ptr = stream.__cuda_stream__()
        assert version == 0
        return External(ptr)


@pytest.mark.parametrize("stream", [Stream13, Stream14])
def test_a_stream_becomes_the_current_one_of_cupy_and_stays_it(monkeypatch, stream):
    cublas = SimpleNamespace(CUBLAS_OP_T=1, create=lambda: 7)
    cuda = SimpleNamespace(cublas=cublas, Stream=stream)
    if stream is Stream13:
        cuda.ExternalStream = External
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=cuda))
    monkeypatch.setitem(sys.modules, "cupy.cuda", cuda)
    blas = CupyCublas()
    assert (blas.create(), blas.CUBLAS_OP_T) == (7, 1)
    for handle in (0x100, 0x200):
        blas.setStream(7, handle)
        assert External.current == [handle]
    del blas
    assert External.current == []
