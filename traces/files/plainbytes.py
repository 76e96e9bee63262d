"""The bytes of a file, decompressed where its first bytes say that it is compressed, and never without end."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

from sim.errors import TraceError
from sim.files.inputs import open_plain

_MAGICS: dict[bytes, tuple[str, Callable[[BinaryIO], io.BufferedIOBase]]] = {
    b"\x1f\x8b": ("gzip", lambda file: gzip.GzipFile(fileobj=file)),
    b"\xfd7zXZ\x00": ("xz", lzma.LZMAFile),
    b"BZh": ("bzip2", bz2.BZ2File),
}
_BUFFER_BYTES = 1 << 20

# A decompression bomb: gzip reaches 1,000 to 1 and xz more. The archive of Azure 2019 has 15 to 1.
_LARGEST_RATIO = 200
_ALWAYS_ALLOWED_BYTES = 256 << 20


def open_bytes(content: Path, path: Path | None = None) -> BinaryIO:
    """Open a file for reading, plain or compressed with gzip, xz or bzip2, as the content says; for ``with``.

    path: what messages name, where the user knows the content by another name.
    Raises TraceError here when the file can't be read, and on reading when the compressed data are broken or expand
    to more than 256 MiB and more than 200 times their size.
    """
    path = path or content
    file = open_plain(content, TraceError, path)
    try:
        kind = _kind(file)
        size_bytes = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise TraceError(f"{path}: can't be read ({error.strerror})") from None
    if kind is None:
        return file
    name, decompress = _MAGICS[kind]
    raw = _Bounded(f"{path}: the {name} data", decompress(file), file, largest_bytes(size_bytes))
    return cast(BinaryIO, io.BufferedReader(raw, _BUFFER_BYTES))


def largest_bytes(size_bytes: int) -> int:
    """What compressed data of this size may expand to."""
    return max(_ALWAYS_ALLOWED_BYTES, _LARGEST_RATIO * size_bytes)


def is_compressed(path: Path) -> bool:
    """Whether ``open_bytes`` decompresses the file. Raises OSError when it can't be read."""
    with path.open("rb") as file:
        return _kind(file) is not None


def _kind(file: BinaryIO) -> bytes | None:
    start = file.read(max(map(len, _MAGICS)))
    file.seek(0)
    return next((magic for magic in _MAGICS if start.startswith(magic)), None)


class _Bounded(io.RawIOBase):
    """A decompressing reader with named errors and a limit on what it gives."""

    def __init__(self, what: str, plain: io.BufferedIOBase, file: BinaryIO, limit: int) -> None:
        self._what, self._plain, self._file, self._limit = what, plain, file, limit
        self._n_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            data = self._plain.read(len(buffer))
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            raise TraceError(f"{self._what} are broken ({error})") from None
        except MemoryError:  # xz asks for what its header says
            raise TraceError(f"{self._what} need more memory than there is") from None
        self._n_bytes += len(data)
        if self._n_bytes > self._limit:
            raise TraceError(
                f"{self._what} expand to more than {self._limit:,} bytes, {_LARGEST_RATIO} times their size or more, "
                "as a decompression bomb does; decompress the file if it is none"
            )
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._plain.close()
            self._file.close()
        super().close()
