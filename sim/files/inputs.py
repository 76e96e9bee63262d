"""Files that a user names: plain ones only, and for text of a size that a person may have written."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from sim.errors import ProjectError, ScenarioError

MOST_TEXT_BYTES = 16 << 20  # the largest built-in catalogue, written as a file, has 0.5 MB

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def open_plain(file: Path, error: type[ProjectError], named: Path | None = None) -> BinaryIO:
    """Open a file for reading; its size is known, and reading doesn't wait for anyone.

    named: what messages call it, where the user knows it by another name. Raises the error when there is none, and for
    what isn't a plain file: directories, pipes and devices, and the files of /proc, which say that they are empty and
    may have no end.
    """
    named = named or file
    try:
        number = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as failed:
        raise error(f"{named}: can't be read ({failed.strerror})") from None
    except ValueError:  # of a zero byte, and of text that stands for no file name
        raise error(f"{str(named)!r}: can't be the name of a file") from None
    status = os.fstat(number)
    if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
        os.close(number)
        kind = _KINDS.get(stat.S_IFMT(status.st_mode))
        raise error(f"{named}: is {kind}, must be a file" if kind else f"{named}: is empty")
    return open(number, "rb")


def read_bytes(file: Path, error: type[ProjectError] = ScenarioError) -> bytes:
    """The content of a small file. Raises the error for other files."""
    with open_plain(file, error) as opened:
        try:
            content = opened.read(MOST_TEXT_BYTES + 1)
        except OSError as failed:
            raise error(f"{file}: can't be read ({failed.strerror})") from None
    if len(content) > MOST_TEXT_BYTES:
        raise error(f"{file}: is larger than {MOST_TEXT_BYTES >> 20} MiB, which no such file is")
    return content


def read_text(file: Path, error: type[ProjectError] = ScenarioError) -> str:
    """The text of a small file, in UTF-8, without a byte order mark. Raises the error for other files."""
    content = read_bytes(file, error)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as failed:
        raise error(f"{file}: is not UTF-8 text, from byte {failed.start + 1} on") from None
    if "\0" in text:
        raise error(f"{file}: is not text, it has zero bytes")
    return text
