"""Device memory that is host memory: allocations with a limit, and with guards for tests."""

from __future__ import annotations

import ctypes
import mmap
from bisect import bisect_right, insort

from replay.device.cpu.errors import HostCudaError

PAGE = mmap.PAGESIZE
ALIGNMENT = 256  # of every allocation (CUDA C Programming Guide, 5.3.2 Device Memory Accesses)
GUARDED_ALIGNMENT = 16  # of the largest vector type: the smaller, the closer the guard page is to the last byte
POISON = 0xFF  # floats and doubles of these bytes are NaN

_mprotect = ctypes.CDLL(None, use_errno=True).mprotect
_mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_PROT_NONE = 0


class HostMemory:
    """Allocations by address, at most ``total_bytes`` at a time.

    With ``debug``, fresh memory is poisoned and an inaccessible page follows each allocation, so that an access
    behind its end kills the process instead of going unnoticed.
    """

    def __init__(self, total_bytes: int, debug: bool) -> None:
        self.total_bytes = total_bytes
        self.used_bytes = 0
        self._debug = debug
        self._allocations: dict[int, tuple[mmap.mmap, int]] = {}
        self._addresses: list[int] = []

    def malloc(self, size: int) -> int:
        """Address of ``size`` bytes; error 2 where they don't fit. Nothing is allocated for 0 bytes (address 0)."""
        if size == 0:
            return 0
        if self.used_bytes + _round_up(size, ALIGNMENT) > self.total_bytes:
            raise HostCudaError(2, f"{size} bytes asked, {self.total_bytes - self.used_bytes} free")
        body = _round_up(size, PAGE)
        mapping = mmap.mmap(-1, body + PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        address = ctypes.addressof(ctypes.c_char.from_buffer(mapping))
        if self._debug:
            _mprotect(address + body, PAGE, _PROT_NONE)
            address += body - _round_up(size, GUARDED_ALIGNMENT)
            ctypes.memset(address, POISON, size)
        self._allocations[address] = mapping, size
        insort(self._addresses, address)
        self.used_bytes += _round_up(size, ALIGNMENT)
        return address

    def free(self, address: int) -> None:
        """Give an allocation back; error 1 for what isn't the address of one (0 is, of nothing)."""
        if address == 0:
            return
        if address not in self._allocations:
            raise HostCudaError(1, f"{address:#x} is not the address of an allocation")
        mapping, size = self._allocations.pop(address)
        self._addresses.remove(address)
        self.used_bytes -= _round_up(size, ALIGNMENT)
        mapping.close()

    def check(self, address: int, size: int) -> None:
        """Error 1 unless these bytes lie within one allocation."""
        i = bisect_right(self._addresses, address)
        start = self._addresses[i - 1] if i else 0
        if size and (not i or address + size > start + self._allocations[start][1]):
            raise HostCudaError(1, f"{size} bytes at {address:#x} are not within one allocation")


def _round_up(size: int, step: int) -> int:
    return -(-size // step) * step
