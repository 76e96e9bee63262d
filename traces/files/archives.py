"""Tar archives of traces, such as the one of Azure Functions 2019: unpacked with suspicion, for as long as we run."""

from __future__ import annotations

import atexit
import shutil
import tarfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path, PurePosixPath

from sim.errors import TraceError
from sim.files.output import create, scratch
from traces.files.plainbytes import is_compressed, open_bytes

_MAGIC, _MAGIC_AT = b"ustar", 257
_unpacked = ExitStack()  # removed when the process ends: traces are read lazily
atexit.register(_unpacked.close)


def is_archive(path: Path) -> bool:
    """Whether the content of a file, decompressed, is a tar archive. Raises TraceError when it can't be read."""
    with open_bytes(path) as file:
        return file.read(_MAGIC_AT + len(_MAGIC)).endswith(_MAGIC)


def unpack(path: Path, is_wanted: Callable[[str], bool]) -> Path:
    """Unpack the regular files whose names, without directories, are wanted, all into one temporary directory.

    Other files stay in the archive. The directory goes when the process ends.
    How much an archive may expand to is limited, see ``open_bytes``. Raises TraceError for a broken archive, and for
    members that no data set has: absolute paths, paths with '..', links, devices, sparse files, and names twice.
    """
    with ExitStack() as stack:
        root = stack.enter_context(scratch())
        try:
            _unpack(path, root, is_wanted)
        except tarfile.TarError as error:
            raise TraceError(f"{path}: isn't a readable tar archive ({error})") from None
        _unpacked.push(stack.pop_all())
    return root


def _unpack(path: Path, root: Path, is_wanted: Callable[[str], bool]) -> None:
    with open_bytes(path) as file, tarfile.open(fileobj=file, mode="r|") as archive:
        for member in archive:
            _check(path, member)
            name = PurePosixPath(member.name).name
            if not member.isfile() or not is_wanted(name):
                continue
            content = archive.extractfile(member)
            assert content is not None
            try:
                with create(root / name) as target:
                    shutil.copyfileobj(content, target)
            except FileExistsError:
                raise TraceError(f"{path}: has two files {name!r}") from None
        # Compressed data that are cut are broken; a plain archive may be cut between members.
        if not is_compressed(path) and path.stat().st_size < archive.offset + tarfile.BLOCKSIZE:
            raise tarfile.ReadError("it has no end")


def _check(path: Path, member: tarfile.TarInfo) -> None:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise TraceError(
            f"{path}: has the member {member.name!r}, which would leave the directory; nothing is unpacked"
        )
    if not (member.isreg() or member.isdir()) or member.issparse():
        raise TraceError(f"{path}: has the member {member.name!r}, which is a link, a device or sparse, not plain data")
