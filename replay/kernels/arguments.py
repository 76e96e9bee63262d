"""Arguments of a launch in memory, as cuLaunchKernel takes them: an array of pointers to the values."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence

from replay.kernels.sources import Signature

SLOT_BYTES = 8
FORMATS = {"i": "i", "Q": "Q", "f": "f", "d": "d", "P": "Q"}  # of the struct module, by letter of a signature


class Arguments:
    """A value for each letter of a signature: numbers, and device addresses as int.

    address: what ``driver.launchKernel`` takes as kernel_params; it lives as long as this object.
    Raises struct.error for a value outside the range of its type.
    """

    def __init__(self, signature: Signature, values: Sequence[float]) -> None:
        self._values = ctypes.create_string_buffer(SLOT_BYTES * len(signature))
        self._base = ctypes.addressof(self._values)
        self._signature = signature
        slots = [self._base + SLOT_BYTES * i for i in range(len(signature))]
        self._pointers = (ctypes.c_void_p * len(signature))(*slots)
        self.address = ctypes.addressof(self._pointers)
        for i, value in enumerate(values):
            self.put(i, value)

    def put(self, i: int, value: float) -> None:
        """Change one value, for the launches that follow."""
        struct.pack_into(FORMATS[self._signature[i]], self._values, SLOT_BYTES * i, value)

    @classmethod
    def copy(cls, signature: Signature, address: int) -> Arguments:
        """What lies at the address of other arguments of this signature now."""
        given = (ctypes.c_void_p * len(signature)).from_address(address)
        return cls(
            signature,
            [
                struct.unpack(FORMATS[code], ctypes.string_at(value or 0, struct.calcsize(FORMATS[code])))[0]
                for code, value in zip(signature, given, strict=True)
            ],
        )
