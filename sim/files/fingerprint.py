"""What a file was when it was read: enough to tell later that it is another one by now."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from sim.errors import TraceError

_BLOCK_BYTES = 1 << 20


class Fingerprint(NamedTuple):
    """Size, time of the last change (ns since the epoch) and SHA-256 (hexadecimal) of a file."""

    size_bytes: int
    mtime_ns: int
    sha256: str


def fingerprint(files: Iterable[str | Path]) -> dict[str, Fingerprint]:
    """The fingerprint of each file, by its path.

    A member of an archive, as ``trace.tar.xz/day.csv``, stands for the archive. Raises TraceError for what can't be
    read, or is no regular file.
    """
    return {str(file): _fingerprint(file) for file in dict.fromkeys(_on_disk(Path(file)) for file in files)}


def changed(before: Mapping[str, Fingerprint]) -> list[str]:
    """The files that are no longer as they were, as ``fingerprint`` has told; those that are gone among them."""
    return [file for file, was in before.items() if _now(Path(file)) != was]


@contextmanager
def unchanged(files: Iterable[str | Path]) -> Iterator[None]:
    """Raise TraceError at the end of the body when one of the files is another one by then.

    Told by what the system keeps of it, without reading: for whoever reads the files within the body.
    """
    before = {file: _stamp(file) for file in map(_on_disk, map(Path, files))}
    yield
    for file, was in before.items():
        if _stamp(file) != was:
            raise TraceError(f"{file}: changed while it was read")


def sha256_of(file: Path) -> str:
    """SHA-256 of the content, hexadecimal. Raises OSError."""
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _stamp(file: Path) -> tuple[int, ...]:
    try:
        facts = file.stat()
    except OSError:
        return ()
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def _now(file: Path) -> Fingerprint | None:
    try:
        return _fingerprint(file)
    except TraceError:
        return None


def _fingerprint(file: Path) -> Fingerprint:
    try:
        facts = file.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise TraceError(f"{file}: is no regular file")
        return Fingerprint(facts.st_size, facts.st_mtime_ns, sha256_of(file))
    except OSError as error:
        raise TraceError(f"{file}: can't be read ({error.strerror})") from None


def _on_disk(file: Path) -> Path:
    """The file itself, or the archive that it is a member of."""
    return next((path for path in (file, *file.parents) if path.is_file()), file)
