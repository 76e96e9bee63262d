"""The seal of a run directory: its manifest has a hash of every other file, and one of itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sim.errors import RunError
from sim.files.fingerprint import sha256_of

MANIFEST = "manifest.json"
_FILES, _SEAL = "files", "sha256"


def seal(manifest: Mapping[str, Any], files: Iterable[Path]) -> dict[str, Any]:
    """The manifest with ``files``, size and SHA-256 by name, and ``sha256``, that of the manifest without this key.

    The latter is taken of its JSON text with sorted keys and without spaces. Raises OSError.
    """
    hashes = {file.name: {"size_bytes": file.stat().st_size, _SEAL: sha256_of(file)} for file in files}
    sealed = {**{key: value for key, value in manifest.items() if key != _SEAL}, _FILES: hashes}
    return {**sealed, _SEAL: _hash(sealed)}


def check_seal(path: Path, manifest: Mapping[str, Any]) -> None:
    """Raise RunError for a run directory that is not as the run wrote it. One without a seal, as of old, is not told.

    A file that the manifest doesn't name is not looked at.
    """
    if manifest.keys().isdisjoint((_FILES, _SEAL)):
        return
    if manifest.get(_SEAL) != _hash({key: value for key, value in manifest.items() if key != _SEAL}):
        raise _damaged(path / MANIFEST)
    for name, facts in manifest[_FILES].items():
        file = path / name
        if file.exists() and not file.is_file():  # reading a pipe would wait for ever
            raise _damaged(file)
        try:
            found = {"size_bytes": file.stat().st_size, _SEAL: sha256_of(file)}
        except FileNotFoundError:
            raise RunError(f"{file}: missing; the run had written it") from None
        except (OSError, ValueError) as error:
            raise RunError(f"{file}: can't be read ({error})") from None
        if found != facts:
            raise _damaged(file)


def _hash(manifest: Mapping[str, Any]) -> str:
    as_read = json.loads(json.dumps(manifest))  # keys that are numbers become texts
    text = json.dumps(as_read, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _damaged(file: Path) -> RunError:
    return RunError(f"{file}: is not as the run wrote it (its SHA-256 differs); 'analyze' reads it with --no-verify")
