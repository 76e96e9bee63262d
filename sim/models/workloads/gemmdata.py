"""A product of a library as it stands in a catalogue file, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sim.domain import Kernel
from sim.models.workloads.gemm import Gemm
from sim.models.workloads.matrices import Matrix
from sim.models.workloads.rules import require

CALL = "cublas.gemm"


@dataclass(frozen=True, slots=True)
class MatrixData:
    """Where a matrix lies in a buffer, in numbers of its type; by default dense, from the first number on."""

    buffer: str
    pitch: int | None = None
    offset: int = 0
    step: int | None = None

    def domain(self, rows: int, columns: int, batch: int) -> Matrix:
        """The place of ``batch`` matrices of rows x columns."""
        pitch = columns if self.pitch is None else self.pitch
        dense = rows * pitch if batch > 1 else 0
        return Matrix(self.buffer, pitch, self.offset, dense if self.step is None else self.step)


@dataclass(frozen=True, slots=True)
class GemmData:
    """A product as it stands in a file: c = alpha op(a) op(b) + beta c."""

    call: Literal["cublas.gemm"]
    dtype: Literal["float32", "float16"]
    shape: tuple[int, ...]
    a: MatrixData
    b: MatrixData
    c: MatrixData
    out: str | None = None
    batch: int = 1
    transpose: tuple[bool, ...] = (False, False)
    alpha: float = 1.0
    beta: float = 0.0

    def __post_init__(self) -> None:
        require(len(self.shape) == 3, "shape", list(self.shape), "[m, n, k]")
        require(len(self.transpose) == 2, "transpose", list(self.transpose), "two of true and false, for a and b")
        self.domain()  # refuses what doesn't make a product

    def domain(self) -> Kernel:
        """The launch; whether its buffers have room for it is for ``gemm.check_product``."""
        m, n, k = self.shape
        a, b = self.transpose
        asked = Gemm(
            dtype=self.dtype,
            shape=(m, n, k),
            a=self.a.domain(*((k, m) if a else (m, k)), self.batch),
            b=self.b.domain(*((n, k) if b else (k, n)), self.batch),
            c=self.c.domain(m, n, self.batch),
            out=self.out or self.dtype,
            batch=self.batch,
            transpose=(a, b),
            alpha=self.alpha,
            beta=self.beta,
        )
        return asked.kernel()


def gemm_to_dict(kernel: Kernel) -> dict[str, Any]:
    """A product as ``GemmData`` takes it, every key written out."""
    its = Gemm.of(kernel)
    places = {
        key: {"buffer": p.buffer, "pitch": p.pitch, "offset": p.offset, "step": p.step}
        for key, p in (("a", its.a), ("b", its.b), ("c", its.c))
    }
    return {
        "call": CALL,
        "dtype": its.dtype,
        "shape": list(its.shape),
        **places,
        "out": its.out,
        "batch": its.batch,
        "transpose": list(its.transpose),
        "alpha": its.alpha,
        "beta": its.beta,
    }
