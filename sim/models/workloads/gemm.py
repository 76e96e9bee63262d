"""A matrix product of cuBLAS as a launch among others: what the library is asked for, and what that costs.

It is a ``Kernel`` whose source is the library. So its literals and buffers travel as those of any kernel, and memory,
costs, sharing and executors need not know which is which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, prod

from sim.domain import Buffer, BufferArg, Direction, Kernel
from sim.errors import ScenarioError
from sim.models.workloads.geometry import ceil_div
from sim.models.workloads.matrices import Matrix
from sim.models.workloads.rules import require

SOURCE = "cublas"
ITEM_BYTES = {"float32": 4, "float16": 2}  # by dtype
NAMES = {f"gemm_{dtype}": dtype for dtype in ITEM_BYTES}  # of kernels: dtype of their factors
SIGNATURE = "i" * 16 + "ff" + "PPP"  # see ``Gemm.kernel``
MOST = 2**31 - 1  # cuBLAS takes sizes as 32-bit integers

# A library doesn't say how it shares work among multiprocessors. It is taken to do so evenly, whatever the shape, in
# pieces of so many rows and columns of c and terms of their sums, as Stream-K does (Osama et al., PPoPP 2023).
PIECE = (64, 64, 32)
THREADS = 256


@dataclass(frozen=True, slots=True)
class Gemm:
    """c = alpha op(a) op(b) + beta c, ``batch`` times; op transposes where ``transpose`` says so for a and b.

    shape: (m, n, k); op(a) is m x k, op(b) is k x n and c is m x n, each row by row in memory. dtype: of a and b.
    out: of c, float32 or as ``dtype``; sums are taken in float32. Tensor cores are the library's choice.
    Raises ScenarioError, naming the key and the rule, for what the library can't be asked for.
    """

    dtype: str
    shape: tuple[int, int, int]
    a: Matrix
    b: Matrix
    c: Matrix
    out: str
    batch: int = 1
    transpose: tuple[bool, bool] = (False, False)
    alpha: float = 1.0
    beta: float = 0.0

    def __post_init__(self) -> None:
        require(self.dtype in ITEM_BYTES, "dtype", self.dtype, f"one of {', '.join(ITEM_BYTES)}")
        outs = tuple(dict.fromkeys((self.dtype, "float32")))
        require(self.out in outs, "out", self.out, f"{' or '.join(outs)}, where a and b are of {self.dtype}")
        require(all(1 <= v <= MOST for v in self.shape), "shape", list(self.shape), f"whole numbers from 1 to {MOST}")
        require(1 <= self.batch <= MOST, "batch", self.batch, f"from 1 to {MOST}")
        for key, factor in (("alpha", self.alpha), ("beta", self.beta)):
            require(isfinite(factor), key, factor, "finite")
        for key, (_, columns) in self.stored().items():
            place: Matrix = getattr(self, key)
            rule = f"from {columns}, its columns, to {MOST}"
            require(columns <= place.pitch <= MOST, f"{key}: pitch", place.pitch, rule)
            for name in ("offset", "step"):
                value = getattr(place, name)
                require(0 <= value <= MOST, f"{key}: {name}", value, f"from 0 to {MOST}")
        require(self.c.buffer not in (self.a.buffer, self.b.buffer), "c: buffer", self.c.buffer, "another than a and b")
        m, n, _ = self.shape
        behind = self.c.step >= (m - 1) * self.c.pitch + n
        beside = self.c.step >= n and (self.batch - 1) * self.c.step + n <= self.c.pitch
        require(self.batch == 1 or behind or beside, "c: step", self.c.step, "such that no two results overlap")

    def stored(self) -> dict[str, tuple[int, int]]:
        """Rows and columns of a, b and c as they lie in memory."""
        m, n, k = self.shape
        return {
            "a": (k, m) if self.transpose[0] else (m, k),
            "b": (n, k) if self.transpose[1] else (k, n),
            "c": (m, n),
        }

    def kernel(self) -> Kernel:
        """The launch: shape, batch, whether a and b are transposed, bytes of a number of c; pitch, offset and step of
        a, b and c; alpha and beta; then the buffers."""
        m, n, k = self.shape
        places = [v for p in (self.a, self.b, self.c) for v in (p.pitch, p.offset, p.step)]
        numbers = (m, n, k, self.batch, *map(int, self.transpose), ITEM_BYTES[self.out], *places)
        return Kernel(
            source=SOURCE,
            name=f"gemm_{self.dtype}",
            grid=(_n_pieces(self.shape, self.batch), 1, 1),
            block=(THREADS, 1, 1),
            args=(
                BufferArg(self.a.buffer, Direction.IN),
                BufferArg(self.b.buffer, Direction.IN),
                BufferArg(self.c.buffer, Direction.INOUT if self.beta else Direction.OUT),
            ),
            literals=(*(("i", v) for v in numbers), ("f", self.alpha), ("f", self.beta)),
            flops=2 * self.batch * m * n * k,
            moved_bytes=self._moved_bytes(),
        )

    @classmethod
    def of(cls, kernel: Kernel) -> Gemm:
        """What a launch of this library asks for. Raises ScenarioError for one that ``kernel`` didn't make."""
        codes = "".join(code for code, _ in kernel.literals) + "P" * len(kernel.args)
        if kernel.source != SOURCE or kernel.name not in NAMES or codes != SIGNATURE:
            raise ScenarioError(f"{kernel.source}.{kernel.name} is no product that {SOURCE} is asked for")
        *numbers, alpha, beta = (value for _, value in kernel.literals)
        m, n, k, batch, a, b, out_bytes, *places = map(int, numbers)
        dtypes = {size: dtype for dtype, size in ITEM_BYTES.items()}
        of_a, of_b, of_c = (Matrix(arg.buffer, *places[3 * i : 3 * i + 3]) for i, arg in enumerate(kernel.args))
        its = cls(
            dtype=NAMES[kernel.name],
            shape=(m, n, k),
            a=of_a,
            b=of_b,
            c=of_c,
            out=dtypes.get(out_bytes, str(out_bytes)),
            batch=batch,
            transpose=(bool(a), bool(b)),
            alpha=alpha,
            beta=beta,
        )
        if its.kernel() != kernel:
            raise ScenarioError(f"{SOURCE}.{kernel.name} has a grid, work or directions that its shape doesn't have")
        return its

    def check(self, buffers: Mapping[str, Buffer]) -> None:
        """Raise ScenarioError, naming the key and the rule, unless the matrices lie within these buffers."""
        for key, (rows, columns) in self.stored().items():
            place: Matrix = getattr(self, key)
            buffer, dtype = buffers[place.buffer], self.out if key == "c" else self.dtype
            rule = f"a buffer of {dtype}, but it is of {buffer.dtype}"
            require(buffer.dtype == dtype, f"{key}: buffer", place.buffer, rule)
            end = place.offset + (self.batch - 1) * place.step + (rows - 1) * place.pitch + columns
            rule = f"a buffer of at least {end * ITEM_BYTES[dtype]} bytes, but it has {buffer.size_bytes}"
            require(end * ITEM_BYTES[dtype] <= buffer.size_bytes, f"{key}: buffer", place.buffer, rule)

    def _moved_bytes(self) -> int:
        """Each matrix once; one that all of the batch share counts as one, and c twice where it is also read."""
        m, n, k = self.shape
        n_a, n_b = (self.batch if p.step else 1 for p in (self.a, self.b))
        n_c = self.batch * (2 if self.beta else 1)
        return ITEM_BYTES[self.dtype] * (n_a * m * k + n_b * k * n) + ITEM_BYTES[self.out] * n_c * m * n


def check_product(kernel: Kernel, buffers: Mapping[str, Buffer]) -> None:
    """Raise ScenarioError, with the rule, for a launch that is a product which the library can't be asked for."""
    if kernel.source == SOURCE:
        Gemm.of(kernel).check(buffers)


def _n_pieces(shape: tuple[int, int, int], batch: int) -> int:
    return min(batch * prod(map(ceil_div, shape, PIECE)), MOST)
