"""Fingerprints: what tells a file from what it was."""

import os

import pytest

from sim.errors import TraceError
from sim.files.fingerprint import changed, fingerprint


def test_size_time_and_hash_are_told(tmp_path):
    file = tmp_path / "day.csv"
    file.write_bytes(b"abc")
    os.utime(file, ns=(7, 7))
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-4, example of "abc"
    assert fingerprint([file]) == {str(file): (3, 7, sha256)}


def test_a_member_of_an_archive_stands_for_the_archive(tmp_path):
    archive = tmp_path / "trace.tar"
    archive.write_bytes(b"x")
    assert list(fingerprint([archive / "day.csv", archive / "other.csv"])) == [str(archive)]


def _same_time_and_size(file):
    before = file.stat().st_mtime_ns
    file.write_bytes(b"abd")
    os.utime(file, ns=(before, before))


@pytest.mark.parametrize(
    "change",
    [
        _same_time_and_size,
        lambda file: os.utime(file, ns=(1, 1)),
        lambda file: file.write_bytes(b"abcd"),
        lambda file: file.unlink(),
    ],
)
def test_any_change_is_seen(tmp_path, change):
    file, other = tmp_path / "day.csv", tmp_path / "other.csv"
    for path in (file, other):
        path.write_bytes(b"abc")
    before = fingerprint([file, other])
    assert changed(before) == []
    change(file)
    assert changed(before) == [str(file)]


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, message in (("pipe", "is no regular file"), ("absent", "can't be read")):
        with pytest.raises(TraceError, match=message):
            fingerprint([tmp_path / name])
