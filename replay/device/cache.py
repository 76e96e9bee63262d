"""Compiled kernels on disk, one directory for a user."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from sim.files.output import told


def cache_dir() -> Path:
    """``$XDG_CACHE_HOME/gpu-replay``, by default ``~/.cache/gpu-replay`` (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gpu-replay"


def cached(parts: tuple[str, ...], suffix: str, make: Callable[[Path], None]) -> Path:
    """Path of the file that ``make(path)`` writes, which is made only if the cache lacks it.

    ``parts`` are all that the content depends on. The file appears whole or not at all, also where several
    processes make it at a time. Raises OutputError where the cache can't be written.
    """
    path = cache_dir() / (sha256("\0".join(parts).encode()).hexdigest() + suffix)
    if not path.exists():
        with told(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            place = tempfile.TemporaryDirectory(dir=path.parent)
        with place as scratch:
            unfinished = Path(scratch) / f"unfinished{suffix}"
            make(unfinished)
            os.replace(unfinished, path)
    return path
