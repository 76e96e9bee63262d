"""Fetch a public data set: the file, checked, and a SOURCE.txt beside it that says whence it comes."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from sim.errors import TraceError
from traces.datasets import DATASETS, Address, Dataset
from traces.fetch_http import NoAnswerError, Tell, download

SOURCE = "SOURCE.txt"
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Fetched:
    """A file that is here. is_checked: whether its SHA-256 was known and is the same."""

    path: Path
    sha256: str
    is_checked: bool


def find_dataset(name: str) -> Dataset:
    """The data set of this name. Raises TraceError when there is none."""
    if name not in DATASETS:
        raise TraceError(f"data set {name!r}: must be one of {', '.join(DATASETS)}")
    return DATASETS[name]


def fetch(dataset: Dataset, directory: Path, tell: Tell = lambda n_here, n_whole: None) -> Fetched:
    """Download into ``directory``, made if need be; one data set a directory.

    The file appears under its name only when it is whole and checked, after SOURCE.txt. Until then it is
    ``<name>.part``, from which the next call goes on. The next address is tried when one gives nothing at all.

    Raises TraceError when the file or another data set is there already, no address answers, the connection is cut,
    size or checksum are wrong (nothing is kept of a file with a wrong checksum), or the disk refuses.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _check_free(dataset, directory)
        address = _download(dataset, directory, tell)
        file = directory / address.file_name
        part = _part(directory, address)
        sha256 = _sha256(part)
        if address.sha256 not in (None, sha256):
            _forget(part)
            raise TraceError(
                f"{address.url}: has the SHA-256 {sha256}, not {address.sha256} as known from {address.known_from}; "
                "nothing was kept"
            )
        _write(directory / SOURCE, _source(dataset, address, part.stat().st_size, sha256))
        os.replace(part, file)
        for tried in dataset.addresses:
            _forget(_part(directory, tried))
    except OSError as error:
        raise TraceError(f"{error.filename or directory}: can't be written ({error.strerror})") from None
    return Fetched(file, sha256, address.sha256 is not None)


def _check_free(dataset: Dataset, directory: Path) -> None:
    for address in dataset.addresses:
        if (file := directory / address.file_name).exists():
            raise TraceError(f"{file}: is there already; remove it to download it again")
    source = directory / SOURCE
    if source.exists() and not source.read_text("utf-8", "replace").startswith(_first_line(dataset)):
        raise TraceError(f"{source}: is of other data; give every data set a directory of its own")


def _download(dataset: Dataset, directory: Path, tell: Tell) -> Address:
    """Download from the first address that gives something."""
    failures = []
    for address in dataset.addresses:
        try:
            download(address, _part(directory, address), tell)
        except NoAnswerError as error:
            failures.append(str(error))
        else:
            return address
    raise TraceError("; ".join(failures))


def _part(directory: Path, address: Address) -> Path:
    return directory / f"{address.file_name}.part"


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    part.with_name(f"{part.name}.tag").unlink(missing_ok=True)


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _first_line(dataset: Dataset) -> str:
    return f"data set: {dataset.name}\n"


def _source(dataset: Dataset, address: Address, size_bytes: int, sha256: str) -> str:
    checked = f"as known from {address.known_from}" if address.sha256 else "computed here; none is published"
    return _first_line(dataset) + (
        f"content: {dataset.summary}\n"
        f"address: {address.url}\n"
        f"file: {address.file_name}, {size_bytes} bytes\n"
        f"fetched: {datetime.now(timezone.utc):%Y-%m-%d} (UTC)\n"
        f"sha256: {sha256} ({checked})\n"
        f"licence: {dataset.licence}\n"
        f"cite: {dataset.citation}\n"
    )


def _write(file: Path, text: str) -> None:
    hidden = file.with_name(f".{file.name}")
    hidden.write_text(text, "utf-8")
    os.replace(hidden, file)
