"""The one way of writing: killed at every step, at once, over what isn't ours, and on disks that refuse."""

from __future__ import annotations

import errno
import os
import signal
import sys
import tempfile
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

import pytest

from sim.errors import OutputError
from sim.files import output
from sim.files.output import fresh_directory, new_directory, new_file, scratch, workshop, write_text

STEPS = ("mkdir", "open", "fsync", "replace", "rename", "unlink", "rmdir")  # of the module os, where a kill may fall


def everything(directory: Path) -> list[str]:
    return [name for name in os.listdir(directory) if name.startswith(output.PREFIX)]


def old_names(directory: Path) -> list[str]:
    return sorted(os.listdir(directory)) if directory.exists() else []


def put(directory: Path, content: str, names: str = "abc") -> None:
    with new_directory(directory, old_names) as hidden:
        for name in names:
            write_text(hidden / name, content)


def content(directory: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in directory.iterdir()}


def put_and_die(directory: Path, n: int, exchanges: bool) -> None:
    """Write, and be killed before the n-th step; the exit status is 0 when there are fewer."""
    n_left = n

    def dying(step):
        def call(*args, **kwargs):
            nonlocal n_left
            if not n_left:
                os.kill(os.getpid(), signal.SIGKILL)
            n_left -= 1
            return step(*args, **kwargs)

        return call

    for name in STEPS:
        setattr(os, name, dying(getattr(os, name)))
    if not exchanges:
        output.ctypes.CDLL = lambda *args, **kwargs: object()
    put(directory, "new")


@pytest.mark.parametrize("exchanges", [True, False])
@pytest.mark.parametrize("first", ["old", None])
def test_a_kill_at_any_step_leaves_the_old_or_the_new(tmp_path, first, exchanges):
    """With renames only, the next call brings an old one back that was aside."""
    n, seen = 0, set()
    while True:
        directory = tmp_path / str(n) / "out"
        if first:
            put(directory, first)
        else:
            directory.parent.mkdir()
        process = get_context("fork").Process(target=put_and_die, args=(directory, n, exchanges))
        process.start()
        process.join()
        if exchanges or directory.exists() or first is None:
            found = set(content(directory).values()) if directory.exists() else {None}
            assert found in ({first}, {"new"}), n
            assert not directory.exists() or len(content(directory)) == 3
            seen |= found
        else:
            with workshop(directory):
                assert set(content(directory).values()) == {first}
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        put(directory, "later")
        assert set(content(directory).values()) == {"later"}
        assert everything(directory.parent) == []
        n += 1
    assert n > 10
    assert seen == {first, "new"}


def test_of_two_at_once_one_is_told_and_the_other_is_whole(tmp_path):
    with new_directory(tmp_path / "out", old_names) as hidden:
        write_text(hidden / "a", "first")
        with pytest.raises(OutputError, match="out: another process is writing it now"):
            put(tmp_path / "out", "second")
    assert content(tmp_path / "out") == {"a": "first"}
    assert everything(tmp_path) == []


def test_what_fails_leaves_nothing(tmp_path):
    put(tmp_path / "out", "old")
    for failure in (KeyboardInterrupt(), OSError(errno.ENOSPC, "")):
        with suppress(KeyboardInterrupt, OutputError), new_directory(tmp_path / "out", old_names) as hidden:
            write_text(hidden / "a", "half")
            raise failure
        assert set(content(tmp_path / "out").values()) == {"old"}
        assert everything(tmp_path) == []


def test_an_error_of_the_disk_names_the_target(tmp_path):
    with (
        pytest.raises(OutputError, match=r"out\.csv: can't be written \(No space left on device\)"),
        new_file(tmp_path / "out.csv"),
    ):
        raise OSError(errno.ENOSPC, "whatever a library says")


def test_other_files_stay_and_are_never_in_the_way_unnoticed(tmp_path):
    (tmp_path / "mine").write_text("mine")
    with new_directory(tmp_path, lambda directory: []) as hidden:
        write_text(hidden / "a", "new")
    assert content(tmp_path) == {"mine": "mine", "a": "new"}
    with (
        pytest.raises(OutputError, match="mine: is there already, and was not written by this command"),
        new_directory(tmp_path, lambda directory: ["a"]) as hidden,
    ):
        write_text(hidden / "mine", "ours")
    assert content(tmp_path) == {"mine": "mine", "a": "new"}


def test_the_working_directory_stays_the_same_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(Path("."), "old")
    put(Path("."), "new")
    assert {name: Path(name).read_text() for name in os.listdir()} == dict.fromkeys("abc", "new")


@pytest.mark.parametrize("make", [Path.mkdir, lambda file: file.symlink_to("elsewhere"), lambda file: os.mkfifo(file)])
def test_a_file_takes_no_place_that_is_not_one(tmp_path, make):
    make(tmp_path / "out")
    for is_ours in (None, lambda file: True):
        with pytest.raises(OutputError, match="out: is there already"), new_file(tmp_path / "out", is_ours):
            pass
    assert os.path.lexists(tmp_path / "out")


def test_a_directory_of_others_at_the_hidden_name_is_left_alone(tmp_path):
    with workshop(tmp_path / "out") as place:
        pass
    place.mkdir()
    (place / "mine").write_text("mine")
    with (
        pytest.raises(OutputError, match=r"is in the way of .*out, and not of this project"),
        workshop(tmp_path / "out"),
    ):
        pass
    assert content(place) == {"mine": "mine"}
    (place / "mine").unlink()
    place.rmdir()
    place.symlink_to(tmp_path)
    with pytest.raises(OutputError, match="is in the way"), workshop(tmp_path / "out"):
        pass


def test_a_name_that_is_too_long_is_told_at_the_start(tmp_path):
    begun = []
    for write in (new_file, lambda path: new_directory(path, old_names)):
        with pytest.raises(OutputError, match="File name too long"), write(tmp_path / ("x" * 300)) as hidden:
            begun.append(hidden)
    assert begun == []


def test_fresh_directories_differ(tmp_path):
    made = [fresh_directory(tmp_path / "runs" / "noon").name for _ in range(3)]
    assert made == ["noon", "noon-2", "noon-3"]


def test_scratch_that_a_killed_process_left_goes_with_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (left, foreign) = (tmp_path / f"{output._SCRATCH}{name}" for name in ("left", "foreign"))
    for place in (left, foreign):
        place.mkdir()
        (place / "day.csv").write_text("1")
    (left / output._LOCK).touch()
    os.utime(left / output._LOCK, (1, 1))
    with scratch() as first, scratch() as second:
        assert sorted(tmp_path.iterdir()) == sorted([foreign, first, second])
    assert list(tmp_path.iterdir()) == [foreign]


if sys.platform != "linux":
    pytest.skip("flock and renameat2 as on Linux", allow_module_level=True)
