"""Disks that are full, too small, or may not be written to: one sentence, and nothing that looks whole."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
from contextlib import suppress
from functools import partial

import pytest
from click.testing import CliRunner

import analysis.cli
import replay.cli
import sim.cli
import traces.cli
from tests.abuse.writers import is_one_sentence, left, prepare, start, writers

COMMANDS = ["run", "convert", "synth", "sample", "plot"]
MAINS = {"simulate": sim.cli, "traces": traces.cli, "analyze": analysis.cli, "replay": replay.cli}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    directory = tmp_path_factory.mktemp("disks")
    prepare(directory)
    return directory


def check_refused(process, errors, writer, reason):
    assert process.returncode == 2, errors
    assert is_one_sentence(errors), errors
    assert f"{writer.target}" in errors
    assert reason in errors
    assert writer.state() == "nothing"


@pytest.mark.parametrize("number", range(5), ids=COMMANDS)
def test_files_that_can_not_grow(place, number):
    """A limit on the size of files stands in for a disk that fills up on the way."""
    writer = writers(place)[number]
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (2_000, 2_000))
    process = start(writer.words(1), before=limit)
    _, errors = process.communicate()
    check_refused(process, errors, writer, "can't be written (File too large)")
    assert left(place) == []


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 64 kB, where one may be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("no disk may be mounted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


def fill(disk):
    """Leave not a byte free."""
    with (disk / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
        while ballast.write(b"x" * 4096):
            pass
    assert os.statvfs(disk).f_bavail == 0


@pytest.mark.parametrize("mode", ["full", "read-only"])
@pytest.mark.parametrize("number", range(5), ids=COMMANDS)
def test_a_real_small_disk(place, small_disk, number, mode):
    """The trace and the runs lie elsewhere."""
    for name in ("trace", "runs"):
        (small_disk / name).symlink_to(place / name)
    writer = writers(small_disk)[number]
    if writer.name == "run":
        (small_disk / "runs").unlink()
        (small_disk / "runs").mkdir()
    if mode == "full":
        fill(small_disk)
    else:
        subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    process = start(writer.words(1))
    _, errors = process.communicate()
    reason = "No space left on device" if mode == "full" else "Read-only file system"
    check_refused(process, errors, writer, reason)


@pytest.mark.parametrize(
    "words",
    [
        "simulate reproduce kaas --figure micro -o out",
        "replay probe -o out.json",
        "replay session --device cpu -o out",
        "traces fetch azure-llm-2023-code -o out",
        "traces inspect trace --plot out.png",
    ],
)
def test_a_disk_that_refuses_is_told_before_the_work(place, tmp_path, monkeypatch, words):
    """A stand-in for the call that fails first on a read-only disk."""

    def refuse(path, *args, **kwargs):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    monkeypatch.chdir(place)
    monkeypatch.setattr(os, "mkdir", refuse)
    command, *rest = words.split()
    result = CliRunner().invoke(MAINS[command].main, rest)
    assert result.exit_code == 2, result.exception
    assert is_one_sentence(result.stderr.splitlines(keepends=True)[-1])
    assert "can't be written (Read-only file system)" in result.stderr
    assert not [name for name in os.listdir() if name.startswith("out")]
