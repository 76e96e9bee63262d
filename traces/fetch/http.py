"""One file over HTTP, continued where an earlier attempt ended (RFC 9110: Range, If-Range, Content-Range)."""

from __future__ import annotations

import json
import re
import shutil
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import IO, Any, NamedTuple
from urllib.error import HTTPError

from sim.errors import TraceError
from sim.files.output import extend, write_text
from traces.fetch.datasets import Address

PATIENCE_S = 30.0  # of a connection attempt, of silence, and of an average
LEAST_BYTES_PER_S = 1_000  # a slower server is given up; at this rate 100 MB take a day
_BLOCK_BYTES = 1 << 20
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)", re.ASCII)
_RANGE_NOT_SATISFIABLE = 416
_PARTIAL_CONTENT = 206

Tell = Callable[[int, int], None]
"""Called with (bytes that are here, bytes of the whole) whenever more have come."""


class NoAnswerError(TraceError):
    """The address gives nothing; another one may."""


class _StaysHttps(urllib.request.HTTPRedirectHandler):
    """Follows redirections, as GitHub's, but never from https to anything else."""

    def redirect_request(self, req: urllib.request.Request, *args: Any) -> urllib.request.Request | None:
        new = super().redirect_request(req, *args)
        if new and req.type == "https" and new.type != "https":
            raise NoAnswerError(f"{req.full_url}: redirects to {new.full_url}, which isn't https")
        return new

    def http_error_302(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage
    ) -> Any:
        """See urllib, which leaves the answer open when it redirects to what is no address (ValueError)."""
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except ValueError:
            fp.close()
            raise

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def download(address: Address, part: Path, tell: Tell) -> None:
    """Bring ``part`` to the whole content of the address; what it holds already is kept if the server can go on.

    The server can't if it ignores Range, or if the file has changed: ``<part>.tag`` keeps the validator for If-Range,
    and the length of the whole. Without a validator only a file of known checksum is continued. When this fails,
    ``part`` holds what has come.

    Raises NoAnswerError when the address gives nothing, and TraceError when the connection is cut or slower than
    LEAST_BYTES_PER_S over PATIENCE_S, or the length isn't what was promised; OSError when the disk refuses.
    """
    told = _told(part)
    headers = _headers(address, part, told)
    start = part.stat().st_size if "Range" in headers else 0
    try:
        response = _open(urllib.request.Request(address.url, headers=headers))
    except HTTPError as error:
        error.close()
        if start and error.code == _RANGE_NOT_SATISFIABLE:
            if error.headers.get("Content-Range") != f"bytes */{start}":  # else all of it was here
                _restart(address, part, tell)
            return
        reason = " ".join(str(error.reason).split())  # of a redirection without an end it has lines
        raise NoAnswerError(f"{address.url}: the server answers {error.code} {reason}") from None
    except (OSError, HTTPException, ValueError) as error:  # ValueError: of what is no address
        raise NoAnswerError(f"{address.url}: can't be reached ({_reason(error)})") from None
    with response:
        n_here, n_whole = _extent(address, part, start, response)
        if n_here and told is not None and told != _Told(_validator(response), n_whole):
            response.close()
            _restart(address, part, tell)  # the answer is a part of another file, whatever If-Range asked for
            return
        free_bytes = shutil.disk_usage(part.parent).free
        if free_bytes < n_whole - n_here:
            raise TraceError(f"{part.parent}: {n_whole - n_here:,} bytes are to come, but only {free_bytes:,} are free")
        if not n_here:
            forget(part)  # the old bytes are gone first, so that they can't pass for those of the new tag
            write_text(_tag_file(part), json.dumps(_Told(_validator(response), n_whole)))
        with extend(part) as out:
            for block in _blocks(address, response, part, n_here, n_whole):
                out.write(block)
                n_here += len(block)
                tell(n_here, n_whole)
    if n_here != n_whole:
        raise _cut(address, part, n_here, n_whole, "connection closed")


def forget(part: Path) -> None:
    """Remove what has come, and what was told of it."""
    part.unlink(missing_ok=True)
    _tag_file(part).unlink(missing_ok=True)


def _restart(address: Address, part: Path, tell: Tell) -> None:
    forget(part)
    download(address, part, tell)


class _Told(NamedTuple):
    """What a server told of a file when the first bytes of it came."""

    validator: str
    n_whole: int


def _tag_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.tag")


def _told(part: Path) -> _Told | None:
    try:
        validator, n_whole = json.loads(_tag_file(part).read_text("utf-8"))
        return _Told(str(validator), int(n_whole))
    except (OSError, ValueError, TypeError):
        return None


def _headers(address: Address, part: Path, told: _Told | None) -> dict[str, str]:
    """Headers that ask for the rest of ``part``, or for everything."""
    headers = {"User-Agent": "gpu-faas", "Accept-Encoding": "identity"}
    if part.exists() and part.stat().st_size:
        tag = told.validator if told else ""
        if tag or address.sha256:
            headers["Range"] = f"bytes={part.stat().st_size}-"
        if tag:
            headers["If-Range"] = tag
    return headers


def _open(request: urllib.request.Request) -> HTTPResponse:
    """The answer, redirections followed, with all its headers: these may not drip for longer than PATIENCE_S either."""
    answers: SimpleQueue[Any] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put(urllib.request.build_opener(_StaysHttps).open(request, timeout=PATIENCE_S))
        except Exception as error:  # whatever it is, it is raised below
            answers.put(error)

    Thread(target=ask, daemon=True).start()  # one that hangs ends with the process
    try:
        answer = answers.get(timeout=2 * PATIENCE_S)
    except Empty:
        raise TimeoutError("no whole answer in time") from None
    if isinstance(answer, Exception):
        raise answer
    response: HTTPResponse = answer
    return response


def _validator(response: HTTPResponse) -> str:
    """What If-Range may name: a strong ETag, else the date of the last change, else nothing."""
    tag = response.headers.get("ETag", "")
    found = tag if tag.startswith('"') else str(response.headers.get("Last-Modified", ""))
    return found if found.isascii() and found.isprintable() else ""  # no header could name it


def _extent(address: Address, part: Path, start: int, response: HTTPResponse) -> tuple[int, int]:
    """Bytes of ``part`` that stay, of the ``start`` that were to stay, and bytes of the whole, as the answer says."""
    if response.status == _PARTIAL_CONTENT:
        text = response.headers.get("Content-Range", "")
        match = _RANGE.fullmatch(text)
        if not match or int(match[1]) != start:
            raise TraceError(
                f"{address.url}: asked for the bytes from {start} on, the server answers {text!r}; "
                f"remove {part} to start over"
            )
        n_here, n_whole = start, int(match[2])
    else:
        if response.length is None:
            raise TraceError(f"{address.url}: the server doesn't say how long the file is, so a cut would go unnoticed")
        n_here, n_whole = 0, response.length
    if address.size_bytes not in (None, n_whole):
        raise TraceError(
            f"{address.url}: has {n_whole:,} bytes, not {address.size_bytes:,} as known from {address.known_from}"
        )
    return n_here, n_whole


def _blocks(address: Address, response: HTTPResponse, part: Path, n_here: int, n_whole: int) -> Iterator[bytes]:
    """The body as it comes, up to the length of the whole, and never slower than LEAST_BYTES_PER_S."""
    begun_s, n_begun = time.monotonic(), n_here
    while n_here < n_whole:
        try:
            block = response.read1(min(_BLOCK_BYTES, n_whole - n_here))
        except (OSError, HTTPException) as error:
            raise _cut(address, part, n_here, n_whole, _reason(error)) from None
        if not block:
            return
        n_here += len(block)
        yield block
        if (lasted_s := time.monotonic() - begun_s) >= PATIENCE_S:
            if n_here - n_begun < LEAST_BYTES_PER_S * lasted_s:
                why = f"less than {LEAST_BYTES_PER_S:,} bytes/s over {PATIENCE_S:g} s"
                raise _cut(address, part, n_here, n_whole, why)
            begun_s, n_begun = time.monotonic(), n_here


def _cut(address: Address, part: Path, n_here: int, n_whole: int, why: str) -> TraceError:
    return TraceError(
        f"{address.url}: cut after {n_here:,} of {n_whole:,} bytes ({why}); they are kept in {part}, "
        "and the same command goes on from there"
    )


def _reason(error: Exception) -> str:
    """What happened, without the wrapping of urllib."""
    cause = getattr(error, "reason", error)
    return str(getattr(cause, "strerror", None) or cause or type(error).__name__)
