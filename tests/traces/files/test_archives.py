"""Compressed files and tar archives: read by their content, and never trusted."""

import bz2
import gzip
import io
import lzma
import os
import subprocess
import sys
import tarfile

import pytest

from sim.errors import TraceError
from tests.traces.trace_files import collect
from traces.files import plainbytes
from traces.open import open_trace

EVENTS = "app,func,end_timestamp,duration\na,f,10.5,0.25\nb,g,99.0,3\n"


@pytest.fixture
def archive(tmp_path):
    """Writes a tar archive of (name or TarInfo, content) and gives its path."""

    def write(*members, mode="w:gz", name="trace.bin"):
        path = tmp_path / name
        with tarfile.open(path, mode) as tar:
            for member, content in members:
                info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        return path

    return write


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where temporary directories are made."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(directory))
    return directory


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
def test_an_archive_of_azure_2019_is_the_trace_of_its_files(azure2019, archive, mode):
    azure2019.day(("a/f", {1: 3}), ("b/g", {2: 1}))
    azure2019.day(("a/f", {5: 2}), day=2)
    files = [(f"azurefunctions-dataset2019/{f.name}", f.read_bytes()) for f in azure2019.path.glob("*.csv")]
    junk = [
        (special("azurefunctions-dataset2019", tarfile.DIRTYPE), b""),
        ("azurefunctions-dataset2019/._invocations_per_function_md.anon.d01.csv", b"\0\5\26\7"),
        ("azurefunctions-dataset2019/README.md", b"# Azure"),
    ]
    path = archive(*junk, *files, mode=mode)
    one, other = open_trace(azure2019.path), open_trace(path)
    assert other.source.format == "azure2019"
    assert one.functions == other.functions
    assert collect(one).at_s.tolist() == collect(other).at_s.tolist()
    assert other.source.files == tuple(file.replace(str(azure2019.path), str(path)) for file in one.source.files)


def test_a_directory_may_hold_an_archive_beside_notes(archive, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "SOURCE.txt").write_text("https://example.org\n\nCC-BY 4.0\n")
    archive(("x.csv", EVENTS.encode()), mode="w:xz", name="data/events.tar.xz")
    trace = open_trace(tmp_path / "data")
    assert trace.n_arrivals == 2
    assert trace.source.files == (str(tmp_path / "data" / "events.tar.xz" / "x.csv"),)
    assert trace.source.anomalies == {}


def test_an_archive_without_a_table_of_the_day_is_incomplete(azure2019, archive):
    azure2019.day(("a/f", {1: 3}))
    path = archive(*((f.name, f.read_bytes()) for f in azure2019.path.glob("[fi]*.csv")))
    with pytest.raises(TraceError, match="lacks the memory table"):
        open_trace(path)


@pytest.mark.parametrize(
    ("member", "match"),
    [
        ("../x.csv", "'../x.csv', which would leave the directory"),
        ("a/../../x.csv", "which would leave the directory"),
        ("/tmp/x.csv", "'/tmp/x.csv', which would leave the directory"),
        (special("x.csv", tarfile.SYMTYPE, "/etc/passwd"), "which is a link, a device or sparse"),
        (special("x.csv", tarfile.LNKTYPE, "good.csv"), "which is a link, a device or sparse"),
        (special("x.csv", tarfile.CHRTYPE), "which is a link, a device or sparse"),
        (special("x.csv", tarfile.FIFOTYPE), "which is a link, a device or sparse"),
        ("sub/good.csv", "has two files 'good.csv'"),
    ],
)
def test_what_no_data_set_has_is_refused_and_nothing_stays(archive, member, match, tmp_path, temporary):
    path = archive(("good.csv", EVENTS.encode()), (member, b""), mode="w")
    with pytest.raises(TraceError, match=match) as caught:
        open_trace(path)
    assert str(path) in str(caught.value)
    assert not [*temporary.iterdir()]
    assert not (tmp_path / "x.csv").exists()


def test_an_archive_of_other_things_is_no_trace(archive):
    with pytest.raises(TraceError, match="no trace file in this archive; looked for"):
        open_trace(archive(("README.md", b"hello"), ("._x.csv", b"\0")))


def test_unpacked_files_are_gone_when_the_process_ends(archive, temporary):
    path = archive(("x.csv", EVENTS.encode()))
    code = "import os, sys; from traces.open import open_trace; open_trace(sys.argv[1]); print(os.listdir(sys.argv[2]))"
    environment = {**os.environ, "TMPDIR": str(temporary)}
    command = [sys.executable, "-c", code, path, temporary]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.startswith("['.gpu-faas-scratch-")
    assert not [*temporary.iterdir()]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", f"{EVENTS}a,f,x,1\n".encode(), "/x.csv, row 4, column 'end_timestamp': 'x' must be"),
        ("y.csv.gz", gzip.compress(EVENTS.encode())[:-9], "/y.csv.gz: the gzip data are broken"),
    ],
)
def test_messages_name_the_archive_and_the_member(archive, name, content, message):
    path = archive((f"sub/{name}", content))
    with pytest.raises(TraceError) as caught:
        open_trace(path)
    assert str(caught.value).startswith(f"{path}{message}")


@pytest.mark.parametrize("at", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
def test_half_an_archive_is_broken(archive, mode, at):
    rows = "".join(f"a,f{i},{i * 7919 % 9973},0.5\n" for i in range(9000))
    path = archive(("x.csv", (EVENTS + rows).encode()), mode=mode)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * at)])
    with pytest.raises(TraceError, match=r"trace.bin: (the \w+ data are broken|isn't a readable tar archive)"):
        open_trace(path)


def test_an_archive_that_ends_after_a_member_is_broken(archive):
    path = archive(("a.csv", EVENTS.encode()), ("b.csv", EVENTS.encode()), mode="w")
    path.write_bytes(path.read_bytes()[:1024])
    with pytest.raises(TraceError, match=r"isn't a readable tar archive \(it has no end\)"):
        open_trace(path)


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress, bz2.compress])
@pytest.mark.parametrize("name", ["x.csv.gz", "x"])
def test_compressed_tables_are_read_whatever_their_name(tmp_path, compress, name):
    (tmp_path / name).write_bytes(compress(EVENTS.encode()))
    assert open_trace(tmp_path / name).n_arrivals == 2


def test_a_directory_may_hold_compressed_tables(azure2019):
    azure2019.day(("a/f", {1: 3}))
    azure2019.day(("a/f", {1: 2}), day=2)
    for file in azure2019.path.glob("*.csv"):
        file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    assert open_trace(azure2019.path).n_arrivals == 5


def test_a_bad_cell_of_a_compressed_table_is_named(tmp_path):
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress((EVENTS + "a,f,x,1\n").encode()))
    with pytest.raises(TraceError, match=r"x.csv.gz, row 4, column 'end_timestamp': 'x' must be"):
        open_trace(tmp_path / "x.csv.gz")


def test_a_cut_or_flipped_gzip_is_broken(tmp_path):
    content = gzip.compress((EVENTS + "a,f,100.5,1\n" * 5000).encode())
    for broken in (content[:-20], content[:-5] + b"\0" + content[-4:], content[:40] + b"\xff\xff" + content[42:]):
        (tmp_path / "x").write_bytes(broken)
        with pytest.raises(TraceError, match="the gzip data are broken"):
            open_trace(tmp_path / "x")


@pytest.fixture
def small_limit(monkeypatch):
    monkeypatch.setattr(plainbytes, "_ALWAYS_ALLOWED_BYTES", 1 << 16)


BOMBS = [b"a,f,10.5,1\n" * 400_000, b"a" * 5_000_000, b"\n" * 5_000_000]


@pytest.mark.parametrize("bomb", BOMBS, ids=["rows", "one line", "empty lines"])
@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress, bz2.compress])
def test_a_bomb_does_not_go_off(tmp_path, small_limit, bomb, compress):
    (tmp_path / "x.csv").write_bytes(compress(EVENTS.encode() + bomb))
    with pytest.raises(TraceError, match=r"x.csv: the \w+ data expand to more than|row 4: is longer than 2 MiB"):
        open_trace(tmp_path / "x.csv")


def test_a_bomb_in_an_archive_does_not_go_off(archive, small_limit, temporary):
    path = archive(("x.csv", bytes(50_000_000)))
    with pytest.raises(TraceError, match=r"trace.bin: the gzip data expand to more than"):
        open_trace(path)
    assert not [*temporary.iterdir()]


def test_honest_compression_is_no_bomb(tmp_path, small_limit):
    rows = "".join(f"a,f,{i},0.5\n" for i in range(20_000))
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress((EVENTS + rows).encode()))
    assert open_trace(tmp_path / "x.csv.gz").n_arrivals == 20_002


@pytest.mark.parametrize(("magic", "name"), [(b"Rar!\x1a\7", "RAR"), (b"7z\xbc\xaf\x27", "7z"), (b"PK\3\4", "ZIP")])
def test_other_archives_are_named(tmp_path, magic, name):
    (tmp_path / "x.rar").write_bytes(magic + bytes(100))
    with pytest.raises(TraceError, match=f"is a {name} archive, which isn't read; unpack it"):
        open_trace(tmp_path / "x.rar")
