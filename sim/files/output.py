"""The one way in which the project writes: hidden beside the target, under a lock, whole, then renamed into place.

What is not finished lies in a hidden directory beside its target, ``.gpu-faas-`` and a hash of the target's name, which
belongs to the process that holds the lock on the file ``.lock`` in it. The system gives the lock back when the process
ends, however it ends: the next that writes to the same target clears away what was left. Nothing else is ever removed
than that, and what a caller has recognised as written by this project.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from sim.errors import OutputError

PREFIX = ".gpu-faas-"
_SCRATCH = f"{PREFIX}scratch-"
_LOCK, _NEW, _OLD = ".lock", "new", "old"  # readers of traces pass over names with a dot in front
_SETTLED_S = 60.0  # a younger lock may be one that its process is about to take
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h

Replaces = Callable[[Path], Sequence[str]]
"""Which files of a directory the new ones replace. Raises OutputError when the directory may not be written to."""

Order = Callable[[str], Any]
"""Key by which names of files are sorted."""


# Targets


@contextmanager
def new_file(file: Path, is_ours: Callable[[Path], bool] | None = None) -> Iterator[Path]:
    """A hidden path to write to; what is there at the end of the body becomes ``file``.

    is_ours: recognises a file that may be replaced; None for none. When the body fails, nothing happens to ``file``.
    Raises OutputError when another process writes it, something is in the way, or the disk refuses.
    """
    with workshop(file) as hidden:
        check_file(file, is_ours)
        part = hidden / f"{_NEW}{file.suffix}"
        yield part
        check_file(file, is_ours)
        _sync(part)
        os.replace(part, file)
        _sync(file.parent)


@contextmanager
def new_directory(directory: Path, replaces: Replaces, order: Order = str) -> Iterator[Path]:
    """A hidden directory to fill; at the end of the body its files come to ``directory``, see ``publish``.

    When the body fails, nothing happens to ``directory``. Raises OutputError as ``new_file`` does.
    """
    with told(directory):
        if _exists(directory) and not directory.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "")
        directory.parent.mkdir(parents=True, exist_ok=True)
    with workshop(directory) as hidden:
        replaces(directory)
        part = hidden / _NEW
        part.mkdir()
        yield part
        publish(part, directory, replaces(directory), order)


def publish(part: Path, directory: Path, replaced: Sequence[str], order: Order = str) -> None:
    """Move the files of ``part``, in the workshop of ``directory``, there; those of the names ``replaced`` go.

    All at one instant where nothing else is in the directory. Where something is, where it is a link, a mount point or
    the working directory: first the old ones go, in the order of ``replaced``, then the new ones come, sorted by
    ``order``, so that never old and new are there together. Raises OutputError when another file is in the way.
    """
    names = sorted(os.listdir(part), key=order)
    for file in (*(part / name for name in names), part):
        _sync(file)
    there = set(os.listdir(directory)) if directory.is_dir() else set()
    if taken := sorted((there - set(replaced)).intersection(names)):
        raise OutputError(f"{directory / taken[0]}: is there already, and was not written by this command")
    if there - set(replaced) or _stays(directory):
        for name in replaced:
            (directory / name).unlink()
        for name in names:
            os.replace(part / name, directory / name)
        _sync(directory)
    elif there:
        _exchange(part, directory)
    else:
        os.rename(part, directory)
    _sync(directory.parent)


def check_file(file: Path, is_ours: Callable[[Path], bool] | None) -> None:
    """Raise OutputError unless a file may be written, or replaced because ``is_ours`` recognises it."""
    with told(file):
        if not _exists(file):
            return
        if is_ours is None:
            raise OutputError(f"{file}: is there already; --force replaces it")
        if file.is_symlink() or not file.is_file() or not is_ours(file):
            raise OutputError(f"{file}: is there already, and this command replaces only what it wrote itself")


def write_json(file: Path, value: Any, is_ours: Callable[[Path], bool]) -> None:
    """Write a JSON file; see ``new_file``."""
    with new_file(file, is_ours) as part:
        write_text(part, as_json(value))


def has_keys(file: Path, *keys: str) -> bool:
    """Whether a file holds a JSON object with these keys: a mark of ours."""
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.keys() >= set(keys)


def as_json(value: Any) -> str:
    """The text of our JSON files. Numbers that JSON doesn't have are refused."""
    return json.dumps(value, indent=1, allow_nan=False) + "\n"


def make_directory(directory: Path) -> None:
    """Make a directory, and those above it, unless it is there."""
    with told(directory):
        directory.mkdir(parents=True, exist_ok=True)


def remove(file: Path) -> None:
    """Remove a file that the caller has recognised as written by this project."""
    with told(file):
        file.unlink()


def fresh_directory(directory: Path) -> Path:
    """Make a directory that was not there, with a number behind its name if others were faster; returns its path."""
    place, number = directory, 1
    make_directory(directory.parent)
    with told(directory):
        while True:
            try:
                place.mkdir()
                return place
            except FileExistsError:
                number += 1
                place = directory.with_name(f"{directory.name}-{number}")


# Files in a workshop


def write_text(file: Path, text: str) -> None:
    """Write a new file, as UTF-8 with LF."""
    with create(file) as out:
        out.write(text.encode())


def create(file: Path, buffering: int = -1) -> BinaryIO:
    """Open a file that must be new."""
    return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), "wb", buffering)


def extend(file: Path) -> BinaryIO:
    """Open a file, new or old but no link, to write on at its end."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(file, flags, 0o666), "ab")


# Workshops


@contextmanager
def workshop(target: Path, *, keeps: bool = False) -> Iterator[Path]:
    """The hidden directory beside ``target``, for this process alone until the end of the body.

    keeps: what is in it when the body fails stays for the next call; else nothing does. An OSError of the body becomes
    an OutputError that names the target. Raises OutputError when another process has it.
    """
    whole = Path(os.path.abspath(target))
    name = hashlib.sha256(os.fsencode(whole.name)).hexdigest()[:16]
    # a mount point can't be renamed, and what is beside it is on another disk
    with _hold((whole if os.path.ismount(whole) else whole.parent) / (PREFIX + name), target, keeps) as place:
        if (place / _OLD).exists() and not _exists(target):  # an exchange was cut, see _exchange
            os.rename(place / _OLD, target)
        if not keeps:
            _clear(place)
        yield place


@contextmanager
def scratch() -> Iterator[Path]:
    """A temporary directory; it goes at the end of the body, or of a later call if this process is killed."""
    root = Path(tempfile.gettempdir())
    for left in root.glob(f"{_SCRATCH}*"):
        with suppress(OutputError, OSError):
            if time.time() - (left / _LOCK).stat().st_mtime > _SETTLED_S:
                with _hold(left, left, False):
                    pass
    place = root / f"{_SCRATCH}{secrets.token_hex(8)}"
    with _hold(place, place, False):
        yield place


def clear_workshops(directory: Path) -> None:
    """Remove what processes that were killed have left in a directory; what others write there now stays."""
    for left in directory.glob(f"{PREFIX}*"):
        with suppress(OutputError, OSError), _hold(left, left, False):
            pass


@contextmanager
def told(target: Path) -> Iterator[None]:
    """Turn an OSError into an OutputError that names the target."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise OutputError(f"{target}: can't be written ({reason})") from None


@contextmanager
def _hold(place: Path, target: Path, keeps: bool) -> Iterator[Path]:
    """Hold the lock of a hidden directory, which is made if need be, and goes at the end."""
    with told(target), ExitStack() as stack:
        lock = _lock(place, target)
        stack.callback(os.close, lock)
        try:
            yield place
        except BaseException:
            if not keeps or os.listdir(place) == [_LOCK]:
                _remove(place)
            raise
        _remove(place)


def _lock(place: Path, target: Path) -> int:
    """The descriptor of the lock of a hidden directory, made if need be."""
    while True:
        with suppress(FileExistsError):
            place.mkdir(0o700)
        try:
            facts = place.lstat()
            if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid() or _is_foreign(place):
                raise OutputError(f"{place}: is in the way of {target}, and not of this project; move it away")
            lock = os.open(place / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:  # the process that had it removed it just now
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock), (place / _LOCK).stat()):
                return lock
        except FileNotFoundError:  # as above
            pass
        except BlockingIOError:
            os.close(lock)
            raise OutputError(f"{target}: another process is writing it now") from None
        os.close(lock)


def _is_foreign(place: Path) -> bool:
    names = os.listdir(place)
    return bool(names) and _LOCK not in names


def _clear(place: Path) -> None:
    """Remove all but the lock."""
    for entry in place.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != _LOCK:
            entry.unlink()


def _remove(place: Path) -> None:
    """Remove a hidden directory whose lock we hold: the lock at last, so that what is in it is never without."""
    with suppress(OSError):  # what stays is cleared by the next
        _clear(place)
        (place / _LOCK).unlink()
        place.rmdir()


def _exchange(part: Path, directory: Path) -> None:
    """Put a new directory in the place of an old one, which stays in the workshop.

    At one instant where the system can (renameat2 of Linux 3.15 and glibc 2.28). Else the old one goes aside first; if
    the process is killed then, ``workshop`` puts it back.
    """
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is not None:
        pair = (_AT_FDCWD, os.fsencode(part), _AT_FDCWD, os.fsencode(directory))
        if rename(*pair, _RENAME_EXCHANGE) == 0:
            return
        if (number := ctypes.get_errno()) not in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
            raise OSError(number, os.strerror(number))
    os.rename(directory, part.with_name(_OLD))
    os.rename(part, directory)


def _stays(directory: Path) -> bool:
    """Whether a directory must remain the same one."""
    if not directory.is_dir():
        return False
    return directory.is_symlink() or os.path.ismount(directory) or os.path.samefile(directory, os.curdir)


def _exists(path: Path) -> bool:
    """Whether something is there, be it a broken link. Raises OSError when that can't be told."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True


def _sync(path: Path) -> None:
    """Bring a file or directory to the disk, so that a name never comes there before its content."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
