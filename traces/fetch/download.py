"""Fetch a public data set: the file, checked, and a SOURCE.txt beside it that says whence it comes."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from sim.errors import OutputError, TraceError
from sim.files.fingerprint import sha256_of
from sim.files.output import make_directory, publish, workshop, write_text
from sim.settings import unknown
from traces.fetch.datasets import DATASETS, Address, Dataset
from traces.fetch.http import NoAnswerError, Tell, download, forget

SOURCE = "SOURCE.txt"
_START_BYTES = 256
_PAGES = (b"<!doctype", b"<html", b"<?xml", b"<error", b"{", b"[")  # no data set is HTML, XML or JSON


@dataclass(frozen=True)
class Fetched:
    """A file that is here. is_checked: whether its SHA-256 was known and is the same."""

    path: Path
    sha256: str
    is_checked: bool


def find_dataset(name: str) -> Dataset:
    """The data set of this name. Raises TraceError when there is none."""
    if name not in DATASETS:
        raise TraceError(unknown("data set", name, DATASETS))
    return DATASETS[name]


def fetch(dataset: Dataset, directory: Path, tell: Tell = lambda n_here, n_whole: None) -> Fetched:
    """Download into ``directory``, made if need be; one data set a directory.

    The file appears under its name only when it is whole and checked, together with SOURCE.txt. Until then it lies
    hidden beside ``directory``, from where the next call goes on. The next address is tried when one gives nothing.

    Raises TraceError when another data set is there already, no address answers, the connection is cut or too slow,
    size or checksum are wrong or the content is no data (nothing is kept of those), and OutputError when the file is
    there, another process fetches it, or the disk refuses.
    """
    make_directory(directory.parent)
    with workshop(directory, keeps=True) as hidden:
        _replaced(dataset, directory)
        address = _download(dataset, hidden, tell)
        part = _part(hidden, address)
        sha256 = sha256_of(part)
        _check(address, part, sha256)
        whole = hidden / "whole"
        if whole.exists():  # of a call that was killed here
            shutil.rmtree(whole)
        make_directory(whole)
        write_text(whole / SOURCE, _source(dataset, address, part.stat().st_size, sha256))
        os.replace(part, whole / address.file_name)
        publish(whole, directory, _replaced(dataset, directory), SOURCE.__ne__)
    return Fetched(directory / address.file_name, sha256, address.sha256 is not None)


def _replaced(dataset: Dataset, directory: Path) -> list[str]:
    """An older SOURCE.txt of the same data. Raises an error when the data, or others, are in the directory."""
    for address in dataset.addresses:
        if os.path.lexists(file := directory / address.file_name):
            raise OutputError(f"{file}: is there already; remove it to download it again")
    source = directory / SOURCE
    if not source.exists():
        return []
    if not source.read_text("utf-8", "replace").startswith(_first_line(dataset)):
        raise TraceError(f"{source}: is of other data; give every data set a directory of its own")
    return [SOURCE]


def _download(dataset: Dataset, hidden: Path, tell: Tell) -> Address:
    """Download from the first address that gives something."""
    failures = []
    for address in dataset.addresses:
        try:
            download(address, _part(hidden, address), tell)
        except NoAnswerError as error:
            failures.append(str(error))
        else:
            return address
    raise TraceError("; ".join(failures))


def _part(hidden: Path, address: Address) -> Path:
    return hidden / f"{address.file_name}.part"


def _check(address: Address, part: Path, sha256: str) -> None:
    """Raise TraceError, and keep nothing, unless the content is what is known of it, or at least may be data."""
    with part.open("rb") as content:
        start = content.read(_START_BYTES).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if address.sha256 not in (None, sha256):
        wrong = f"has the SHA-256 {sha256}, not {address.sha256} as known from {address.known_from}"
    elif not start:
        wrong = "is empty"
    elif start.startswith(_PAGES):
        wrong = "is a page for people or an error message, not data"
    else:
        return
    forget(part)
    raise TraceError(f"{address.url}: {wrong}; nothing was kept")


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
