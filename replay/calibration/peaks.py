"""Peak rates of a device: multiply-adds in float32, products of cuBLAS, and copies from its memory to its memory.

Events of the device time them. A measurement has as much work as takes some ten milliseconds, so that a GPU doesn't
see launches and a CPU isn't kept for long. Sums are checked: a wrong peak is worse than none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from replay.device.seam import Device
from replay.errors import ReplayError
from replay.executor.products import Products
from replay.kernels.arguments import Arguments
from replay.kernels.sources import signatures, source_path
from sim.models.workloads.gemm import SIGNATURE, Gemm
from sim.models.workloads.matrices import Matrix

KERNEL = "multiply_adds"
CHAINS, STEPS, THREADS = 64, 8, 256  # as in peaks.cu
BLOCKS = 64  # for each multiprocessor: many, so that all of them work until the end
COPY_BYTES = 128 << 20  # from one block to another one: together more than a device caches
LEAST_S = 0.01
GEMM_LEAST, GEMM_MOST = 256, 4096  # rows and columns; the most has eight tiles for each multiprocessor of an H100
GEMM_S = 0.001
GEMM_TOLERANCE = 1e-3  # of a value by its deviation, the root of n: sums are in float32, of which some are truncated
POOL = 1_000_003  # normal numbers; a prime, so that rows don't repeat
MOST = 1 << 14  # rounds: sums of that many are exact in float32


def flop_per_s(device: Device, repeats: int) -> list[float]:
    """Operations a second of fused multiply-adds (two operations each) in float32, ``repeats`` times.

    Raises ReplayError when the sums are not what that many multiply-adds give.
    """
    runtime, driver = device.runtime, device.driver
    source = source_path("peaks")
    module = driver.moduleLoadData(device.compile(source))
    function = driver.moduleGetFunction(module, KERNEL)
    n_blocks = BLOCKS * runtime.getDeviceProperties(runtime.getDevice()).get("multiProcessorCount", 1)
    found = np.empty(n_blocks * THREADS, np.float32)
    y = runtime.malloc(found.nbytes)
    stream = runtime.streamCreateWithFlags(runtime.streamNonBlocking)

    def run(n: int) -> float:
        given = Arguments(signatures(source)[KERNEL], [n, 1.0, 1.0, y])
        runtime.memsetAsync(y, 0, found.nbytes, stream)
        seconds = _timed(
            device,
            stream,
            lambda: driver.launchKernel(function, n_blocks, 1, 1, THREADS, 1, 1, 0, stream, given.address, 0),
        )
        runtime.memcpy(found.ctypes.data, y, found.nbytes, runtime.memcpyDeviceToHost)
        if not np.array_equal(found.reshape(n_blocks, THREADS), np.broadcast_to(sums(n), (n_blocks, THREADS))):
            raise ReplayError(f"{device.name}: {n} rounds of peaks.{KERNEL} gave wrong sums, so their rate is no peak")
        return seconds

    rates = _rates(run, 2 * found.size * CHAINS * STEPS, repeats)
    runtime.streamDestroy(stream)
    runtime.free(y)
    driver.moduleUnload(module)
    return rates


def sums(rounds: int) -> npt.NDArray[np.float32]:
    """What the threads of a block must have after so many rounds with a = b = 1."""
    return (CHAINS * (np.arange(THREADS) + STEPS * rounds) + sum(range(CHAINS))).astype(np.float32)


def gemm_flop_per_s(device: Device, dtype: str, repeats: int) -> list[float]:
    """Operations a second of square products by cuBLAS with factors of a dtype, ``repeats`` times.

    They are as large as take a millisecond, so that they fill the device, but at most GEMM_MOST. Raises DeviceError
    where the library is missing, and ReplayError when a product is not that of NumPy.
    """
    products = Products(device)
    n, seconds = GEMM_LEAST, 0.0
    while n < GEMM_MOST and seconds < GEMM_S:
        n *= 2
        with _product(device, products, dtype, n) as run:
            seconds = min(run(1), run(1))
    with _product(device, products, dtype, n) as run:
        rates = _rates(run, 2 * n**3, repeats)
    products.unload()
    return rates


@contextmanager
def _product(device: Device, products: Products, dtype: str, n: int) -> Iterator[Callable[[int], float]]:
    """Seconds of so many products of n x n matrices; normal numbers, since easy ones take a GPU less power and time."""
    runtime = device.runtime
    numbers = np.random.default_rng(0).standard_normal(POOL)
    a, b = (np.resize(numbers[first:], (n, n)).astype(dtype) for first in (0, 1))
    c = np.empty((n, n), np.float32)
    kernel = Gemm(dtype, (n, n, n), Matrix("a", n), Matrix("b", n), Matrix("c", n), "float32").kernel()
    addresses = [runtime.malloc(array.nbytes) for array in (a, b, c)]
    for address, array in zip(addresses, (a, b), strict=False):
        runtime.memcpy(address, array.ctypes.data, array.nbytes, runtime.memcpyHostToDevice)
    given = Arguments(SIGNATURE, [value for _, value in kernel.literals] + addresses)
    launch, function = products.function(kernel.name)
    stream = runtime.streamCreateWithFlags(runtime.streamNonBlocking)

    def multiply(times: int) -> None:
        for _ in range(times):
            launch(function, *kernel.grid, *kernel.block, 0, stream, given.address, 0)

    yield lambda times: _timed(device, stream, lambda: multiply(times))
    runtime.memcpy(c.ctypes.data, addresses[2], c.nbytes, runtime.memcpyDeviceToHost)
    for row in (0, n // 2, n - 1):
        wanted = a[row].astype(np.float64) @ b.astype(np.float64)
        if not np.allclose(c[row], wanted, rtol=0, atol=GEMM_TOLERANCE * n**0.5):
            raise ReplayError(f"{device.name}: a product of {n} x {n} in {dtype} is wrong, so its rate is no peak")
    runtime.streamDestroy(stream)
    for address in addresses:
        runtime.free(address)


def copy_bytes_per_s(device: Device, repeats: int) -> list[float]:
    """Bytes a second that copies within the device's memory read and write (each byte counts twice)."""
    runtime = device.runtime
    source, target = runtime.malloc(COPY_BYTES), runtime.malloc(COPY_BYTES)
    stream = runtime.streamCreateWithFlags(runtime.streamNonBlocking)
    runtime.memsetAsync(source, 1, COPY_BYTES, stream)  # memory that was never written may be read without a transfer

    def copy(n: int) -> None:
        for _ in range(n):
            runtime.memcpyAsync(target, source, COPY_BYTES, runtime.memcpyDeviceToDevice, stream)

    rates = _rates(lambda n: _timed(device, stream, lambda: copy(n)), 2 * COPY_BYTES, repeats)
    runtime.streamDestroy(stream)
    runtime.free(source)
    runtime.free(target)
    return rates


def _rates(run: Callable[[int], float], work: int, repeats: int) -> list[float]:
    """Work a second. run: seconds of so many times the work; the quicker of two decides whether that is enough, since
    the first launch of a kernel, or an interruption, may take long with little work."""
    n = 1
    while n < MOST and min(run(n), run(n)) < LEAST_S:
        n *= 2
    return [n * work / run(n) for _ in range(repeats)]


def _timed(device: Device, stream: int, act: Callable[[], object]) -> float:
    """Seconds between events before and after what is queued in a stream."""
    runtime = device.runtime
    begin, end = runtime.eventCreate(), runtime.eventCreate()
    runtime.eventRecord(begin, stream)
    act()
    runtime.eventRecord(end, stream)
    runtime.eventSynchronize(end)
    seconds: float = runtime.eventElapsedTime(begin, end) / 1e3
    runtime.eventDestroy(begin)
    runtime.eventDestroy(end)
    return seconds
