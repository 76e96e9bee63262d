"""Fetching public data sets: from a server here, well-behaved or not."""

import hashlib
import re
import shutil
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.request import Request

import pytest

from sim.errors import OutputError, TraceError
from sim.files.output import workshop
from traces.cli import main
from traces.fetch import http
from traces.fetch.datasets import DATASETS, Address, Dataset
from traces.fetch.download import fetch
from traces.fetch.http import NoAnswerError

CONTENT = bytes(range(256)) * 10_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = "trace.csv"


class Server(ThreadingHTTPServer):
    """Serves CONTENT under any path. What it does wrong is set on it; ``asked`` has the Range of every request."""

    daemon_threads = True
    content = CONTENT
    tag = '"one"'
    status = None  # answer every request with this error
    location = None  # or with a redirection to this
    ranges = True
    cut_after = None  # bytes of an answer's body after which the connection ends
    promised = None  # the Content-Length, right or wrong; False: none
    content_range = None  # the wrong Content-Range of a partial answer
    heeds_if_range = True
    drips = None  # seconds between two bytes of a body

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []

    def handle_error(self, request, client_address):
        """A client that hangs up is no news."""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/data/{NAME}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.asked.append(self.headers.get("Range"))
        if server.location:
            self.send_response(302)
            self.send_header("Location", server.location)
            self.end_headers()
            return
        if server.status:
            self.send_error(server.status)
            return
        start = 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if (
            asked
            and server.ranges
            and (self.headers.get("If-Range") in (None, server.tag) or not server.heeds_if_range)
        ):
            start = int(asked[1])
            if start >= len(server.content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(server.content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            extent = f"bytes {start}-{len(server.content) - 1}/{len(server.content)}"
            self.send_header("Content-Range", server.content_range or extent)
        else:
            self.send_response(200)
        body = server.content[start:]
        if server.tag:
            self.send_header("ETag", server.tag)
        if server.promised is not False:
            self.send_header("Content-Length", str(server.promised or len(body)))
        self.end_headers()
        if server.drips:
            with suppress(ConnectionError):  # until the client has had enough
                for byte in body:
                    self.wfile.write(bytes([byte]))
                    time.sleep(server.drips)
        else:
            self.wfile.write(body[: server.cut_after])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with Server() as running:
        thread = Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def dataset(*addresses):
    return Dataset("tiny", "a tiny trace", addresses, "CC-BY 4.0", "Someone. Something. 2020", "read it")


def known(server, **changes):
    return dataset(replace(Address(server.url, len(CONTENT), SHA256, "the tests"), **changes))


def unknown(server):
    return dataset(Address(server.url))


def names(directory):
    return sorted(file.name for file in directory.iterdir()) if directory.exists() else []


def parts(directory):
    """What is kept of an unfinished download, by name."""
    hidden = [place for place in directory.parent.iterdir() if place.name.startswith(".gpu-faas-")]
    return {file.name: file for place in hidden for file in place.iterdir() if file.name != ".lock"}


def keep(directory, content):
    """An unfinished download that holds this content, and no word of its server."""
    with suppress(KeyboardInterrupt), workshop(directory, keeps=True) as hidden:
        (hidden / f"{NAME}.part").write_bytes(content)
        raise KeyboardInterrupt


@pytest.fixture
def place(tmp_path):
    """A directory for the data, which nothing else has in it or beside it."""
    return tmp_path / "data"


def cut(server, data, directory, after=100_000):
    """A first attempt that ends after some bytes."""
    server.cut_after = after
    with pytest.raises(TraceError, match=rf"cut after {after:,} of 2,560,000 bytes.*the same command goes on"):
        fetch(data, directory)
    server.cut_after = None


def test_a_file_comes_whole_with_its_source(server, place):
    steps = []
    fetched = fetch(known(server), place / "new" / "dir", lambda *step: steps.append(step))
    assert fetched.path.read_bytes() == CONTENT
    assert (fetched.sha256, fetched.is_checked) == (SHA256, True)
    assert names(fetched.path.parent) == ["SOURCE.txt", NAME]
    source = (fetched.path.parent / "SOURCE.txt").read_text()
    for fact in ("data set: tiny", server.url, f"sha256: {SHA256}", "licence: CC-BY 4.0", "cite: Someone."):
        assert fact in source
    assert re.search(r"^fetched: \d{4}-\d\d-\d\d \(UTC\)$", source, re.MULTILINE)
    assert steps[-1] == (len(CONTENT), len(CONTENT))
    assert [n for n, _ in steps] == sorted(n for n, _ in steps)


def test_without_a_published_checksum_the_computed_one_is_told_as_such(server, place):
    fetched = fetch(unknown(server), place)
    assert (fetched.sha256, fetched.is_checked) == (SHA256, False)
    assert f"sha256: {SHA256} (computed here; none is published)" in (place / "SOURCE.txt").read_text()


@pytest.mark.parametrize("data", [known, unknown])
def test_a_cut_download_goes_on_where_it_ended(server, place, data):
    cut(server, data(server), place)
    assert (names(place), sorted(parts(place))) == ([], [f"{NAME}.part", f"{NAME}.part.tag"])
    fetched = fetch(data(server), place)
    assert server.asked == [None, "bytes=100000-"]
    assert fetched.path.read_bytes() == CONTENT
    assert (names(place), parts(place)) == (["SOURCE.txt", NAME], {})


def test_it_starts_over_where_the_server_ignores_ranges(server, place):
    cut(server, known(server), place)
    server.ranges = False
    assert fetch(known(server), place).path.read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=100000-"


def test_it_starts_over_when_the_file_has_changed(server, place):
    cut(server, unknown(server), place)
    server.content, server.tag = CONTENT[::-1], '"two"'
    assert fetch(unknown(server), place).path.read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("change", [{"tag": '"two"'}, {"content": CONTENT[::-1] + b"more"}])
def test_a_part_of_another_file_is_never_added(server, place, change):
    """Whatever If-Range asked for: a server that doesn't know it tells its tag and length all the same."""
    cut(server, unknown(server), place)
    server.content, server.heeds_if_range = CONTENT[::-1], False
    for name, value in change.items():
        setattr(server, name, value)
    assert fetch(unknown(server), place).path.read_bytes() == server.content
    assert server.asked == [None, "bytes=100000-", None]


def test_of_two_at_once_one_is_told(server, place):
    with workshop(place, keeps=True), pytest.raises(OutputError, match="data: another process is writing it now"):
        fetch(unknown(server), place)
    assert server.asked == []


def test_links_at_hidden_names_are_not_followed(server, place, tmp_path):
    (tmp_path / "precious").write_text("years of work")
    keep(place, b"")
    part = parts(place)[f"{NAME}.part"]
    part.unlink()
    part.symlink_to(tmp_path / "precious")
    with suppress(OutputError):
        fetch(unknown(server), place)
    assert (tmp_path / "precious").read_text() == "years of work"


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "is empty"),
        (b"\n<!DOCTYPE html><title>Sign in</title>", "is a page for people"),
        (b'["no such file"]', "an error message, not data"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><Error><Code>BlobNotFound</Code></Error>", "an error message, not data"),
    ],
)
def test_what_is_no_data_is_not_kept(server, place, body, what):
    server.content = body
    with pytest.raises(TraceError, match=rf"{what}.*; nothing was kept"):
        fetch(unknown(server), place)
    assert (names(place), parts(place)) == ([], {})


def test_a_server_that_drips_is_given_up(server, place, monkeypatch):
    monkeypatch.setattr(http, "PATIENCE_S", 0.2)
    monkeypatch.setattr(http, "LEAST_BYTES_PER_S", 1_000_000)
    server.drips = 0.05
    with pytest.raises(TraceError, match=r"less than 1,000,000 bytes/s over 0\.2 s"):
        fetch(unknown(server), place)
    assert f"{NAME}.part" in parts(place)


def test_what_could_have_changed_unnoticed_is_not_continued(server, place):
    server.tag = None
    cut(server, unknown(server), place)
    assert fetch(unknown(server), place).path.read_bytes() == CONTENT
    assert server.asked == [None, None]


@pytest.mark.parametrize("tag", ['W/"one"', '"one\r\n two"', '"\xff"'])
def test_a_weak_tag_or_one_that_no_header_can_name_does_not_vouch_for_bytes(server, place, tag):
    server.tag = tag
    cut(server, unknown(server), place)
    fetch(unknown(server), place)
    assert server.asked == [None, None]


def test_all_bytes_here_already_are_not_fetched_again(server, place):
    keep(place, CONTENT)
    assert fetch(known(server), place).path.read_bytes() == CONTENT
    assert server.asked == [f"bytes={len(CONTENT)}-"]


def test_more_bytes_than_the_file_has_are_thrown_away(server, place):
    keep(place, CONTENT + b"more")
    assert fetch(known(server), place).path.read_bytes() == CONTENT
    assert server.asked == [f"bytes={len(CONTENT) + 4}-", None]


def test_a_wrong_checksum_keeps_nothing(server, place):
    server.content = CONTENT[:-1] + b"?"
    with pytest.raises(TraceError, match=rf"SHA-256 \w+, not {SHA256} as known from the tests; nothing was kept"):
        fetch(known(server), place)
    assert names(place) == []


def test_a_wrong_part_is_found_by_the_checksum(server, place):
    keep(place, b"not the start")
    with pytest.raises(TraceError, match="SHA-256"):
        fetch(known(server), place)
    assert names(place) == []


def test_a_file_of_another_length_than_known_is_not_fetched(server, place):
    server.content = CONTENT + b"more"
    with pytest.raises(TraceError, match=r"has 2,560,004 bytes, not 2,560,000 as known from the tests"):
        fetch(known(server), place)
    assert names(place) == []


def test_a_promise_of_too_many_bytes_is_a_cut(server, place):
    server.promised = len(CONTENT) + 10
    with pytest.raises(TraceError, match=r"cut after 2,560,000 of 2,560,010 bytes"):
        fetch(unknown(server), place)
    assert NAME not in names(place)


def test_a_promise_of_too_few_bytes_is_refused_where_the_size_is_known(server, place):
    server.promised = 1000
    with pytest.raises(TraceError, match=r"has 1,000 bytes, not 2,560,000"):
        fetch(known(server), place)
    assert names(place) == []


def test_without_a_length_nothing_is_fetched(server, place):
    server.promised = False
    with pytest.raises(TraceError, match="doesn't say how long the file is"):
        fetch(unknown(server), place)


@pytest.mark.parametrize("answer", ["bytes 0-9/10", "nonsense"])
def test_a_partial_answer_must_start_where_it_was_asked_to(server, place, answer):
    cut(server, known(server), place)
    server.content_range = answer
    with pytest.raises(TraceError, match=rf"from 100000 on, the server answers '{answer}'; remove .*part"):
        fetch(known(server), place)
    assert NAME not in names(place)


def test_the_next_address_is_tried_when_one_gives_nothing(server, place):
    with socket.socket() as closed:  # bound but not listening: connections are refused
        closed.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}/first.csv"
        (good,) = known(server).addresses
        assert fetch(dataset(Address(nowhere), good), place).path.name == NAME
        with pytest.raises(TraceError, match=r"first\.csv: can't be reached \(Connection refused\)"):
            fetch(dataset(Address(nowhere)), place / "other")


def test_an_error_of_the_server_is_told(server, place):
    server.status = 404
    with pytest.raises(TraceError, match=rf"{server.url}: the server answers 404 Not Found"):
        fetch(known(server), place)
    assert names(place) == []


def test_a_silent_server_is_given_up(place, monkeypatch):
    monkeypatch.setattr(http, "PATIENCE_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        with pytest.raises(TraceError, match=r"can't be reached \(timed out\)"):
            fetch(dataset(Address(url)), place)


def test_a_full_disk_is_told_before_the_download(server, place, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(TraceError, match="2,560,000 bytes are to come, but only 1 are free"):
        fetch(known(server), place)


def test_a_disk_that_fills_up_is_told(server, place, monkeypatch):
    def full(file):
        return open("/dev/full", "wb", 0)  # Linux's disk that is always full

    monkeypatch.setattr(http, "extend", full)
    with pytest.raises(OutputError, match=r"data: can't be written \(No space left on device\)"):
        fetch(known(server), place)
    assert names(place) == []


def test_a_file_that_is_there_is_left_alone(server, place):
    place.mkdir()
    (place / NAME).write_text("mine")
    with pytest.raises(OutputError, match=r"trace\.csv: is there already; remove it"):
        fetch(known(server), place)
    assert (place / NAME).read_text() == "mine"
    assert server.asked == []


def test_a_directory_is_of_one_data_set(server, place):
    fetch(known(server), place)
    with pytest.raises(TraceError, match=r"SOURCE\.txt: is of other data"):
        fetch(replace(known(server), name="other", addresses=(Address(f"{server.url}2"),)), place)


def test_a_directory_that_cannot_be_made_is_told(server, place):
    place.write_text("")
    with pytest.raises(OutputError, match=r"data.*can't be written \(File exists\)"):
        fetch(known(server), place / "dir")


@pytest.mark.parametrize("location", ["http://[::no/address", "file:///etc/passwd", "/data/again"])
def test_a_redirection_to_nowhere_is_told(server, place, location):
    server.location = location
    told = r"(Invalid IPv6 URL|'file:///etc/passwd' is not allowed|infinite loop\. The last .*: Found)"
    with pytest.raises(TraceError, match=rf"^{re.escape(server.url)}: .*{told}"):
        fetch(unknown(server), place)


def test_redirections_stay_on_https():
    follow = http._StaysHttps().redirect_request
    from_https = Request("https://example.org/a")
    assert follow(from_https, None, 302, "Found", Message(), "https://example.org/b").full_url.endswith("/b")
    with pytest.raises(NoAnswerError, match=r"redirects to http://example\.org/b, which isn't https"):
        follow(from_https, None, 302, "Found", Message(), "http://example.org/b")


@pytest.mark.parametrize("data", DATASETS.values(), ids=DATASETS)
def test_the_table_has_what_a_user_must_know(data):
    assert data.licence
    assert re.search(r"20\d\d$", data.citation)
    for address in data.addresses:
        assert address.url.startswith("https://")
        assert (address.size_bytes is None) == (address.sha256 is None) == (not address.known_from)
        assert address.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", address.sha256)
    assert len({address.file_name for address in data.addresses}) == len(data.addresses)


@pytest.mark.parametrize("service", ["code", "conv"])
def test_the_table_knows_the_genuine_files(sample, service):
    (address,) = DATASETS[f"azure-llm-2023-{service}"].addresses
    content = (sample("azure-llm-2023") / address.file_name).read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (address.size_bytes, address.sha256)


def run(capsys, *args, code=0):
    with pytest.raises(SystemExit) as exit:
        main([str(arg) for arg in args])
    printed = capsys.readouterr()
    assert exit.value.code == code, printed.err
    return printed


def test_the_command_lists_the_data_sets(capsys):
    listed = run(capsys, "fetch").out
    for data in DATASETS.values():
        for fact in (data.name, data.licence, data.citation, data.use):
            assert fact in listed
        for address in data.addresses:
            assert address.url in listed
            assert address.sha256 is None or address.sha256 in listed
    assert "142,968,140 bytes" in listed


def test_the_command_shows_licence_and_citation_and_prints_the_files(capsys, server, tmp_path, monkeypatch):
    monkeypatch.setitem(DATASETS, "tiny", unknown(server))
    printed = run(capsys, "fetch", "tiny", "-o", tmp_path)
    assert printed.out.split() == [str(tmp_path / NAME), str(tmp_path / "SOURCE.txt")]
    assert re.search(r"licence: CC-BY 4.0\ncite: Someone.*SHA-256 \w+, none is published", printed.err, re.DOTALL)


def test_the_command_shows_licence_and_citation_even_when_it_fails(capsys, server, tmp_path, monkeypatch):
    server.status = 503
    monkeypatch.setitem(DATASETS, "tiny", known(server))
    printed = run(capsys, "fetch", "tiny", "-o", tmp_path, code=2)
    assert "licence: CC-BY 4.0\ncite: Someone" in printed.err
    assert "Error: " in printed.err
    assert printed.out == ""


def test_the_command_shows_progress_on_a_terminal(capsys, server, tmp_path, monkeypatch):
    monkeypatch.setitem(DATASETS, "tiny", known(server))
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert "100%" in run(capsys, "fetch", "tiny", "-o", tmp_path).err


def test_the_command_needs_a_known_name_and_a_directory(capsys, tmp_path):
    assert "unknown data set 'nope'; known are azure2019, " in run(capsys, "fetch", "nope", "-o", tmp_path, code=2).err
    assert "--out" in run(capsys, "fetch", "azure2019", code=2).err


def test_help_has_an_example_and_imports_nothing_heavy(capsys):
    assert "Example:\n    traces fetch" in run(capsys, "fetch", "-h").out
    code = "import sys, traces.cli.fetch; print('urllib.request' in sys.modules, 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False False\n"


def test_the_page_says_how_to_go_on_with_every_data_set():
    page = (Path(__file__).parents[3] / "docs" / "howto" / "get-a-trace.md").read_text("utf-8")
    table = page.partition("| data set | then |")[2].partition("\n\n")[0]
    assert re.findall(r"`(azure[\w-]+)`", table) == list(DATASETS)
