"""One file over HTTP, continued where an earlier attempt ended (RFC 9110: Range, If-Range, Content-Range)."""

from __future__ import annotations

import re
import shutil
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from sim.errors import TraceError
from traces.datasets import Address

_TIMEOUT_S = 30.0  # of a connection attempt, and of silence
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


def download(address: Address, part: Path, tell: Tell) -> None:
    """Bring ``part`` to the whole content of the address; what it holds already is kept if the server can go on.

    The server can't if it ignores Range, or if the file has changed: ``<part>.tag`` keeps the validator for If-Range.
    Without a validator only a file of known checksum is continued. When this fails, ``part`` holds what has come.

    Raises NoAnswerError when the address gives nothing, and TraceError when the connection is cut, the length isn't
    what was promised, or the disk refuses.
    """
    tag_file = part.with_name(f"{part.name}.tag")
    headers = _headers(address, part, tag_file)
    start = part.stat().st_size if "Range" in headers else 0
    try:
        response = urllib.request.build_opener(_StaysHttps).open(
            urllib.request.Request(address.url, headers=headers), timeout=_TIMEOUT_S
        )
    except HTTPError as error:
        error.close()
        if start and error.code == _RANGE_NOT_SATISFIABLE:
            if error.headers.get("Content-Range") != f"bytes */{start}":  # else all of it was here
                part.unlink()
                download(address, part, tell)
            return
        raise NoAnswerError(f"{address.url}: the server answers {error.code} {error.reason}") from None
    except (OSError, HTTPException) as error:
        raise NoAnswerError(f"{address.url}: can't be reached ({_reason(error)})") from None
    with response:
        n_here, n_whole = _extent(address, part, start, response)
        free_bytes = shutil.disk_usage(part.parent).free
        if free_bytes < n_whole - n_here:
            raise TraceError(f"{part.parent}: {n_whole - n_here:,} bytes are to come, but only {free_bytes:,} are free")
        try:
            with part.open("ab" if n_here else "wb") as out:
                if not n_here:  # the old bytes are gone by now, so that they can't pass for those of the new tag
                    tag_file.write_text(_validator(response), "utf-8")
                while n_here < n_whole and (block := _read(address, response, part, n_here, n_whole)):
                    out.write(block)
                    n_here += len(block)
                    tell(n_here, n_whole)
        except OSError as error:
            raise TraceError(f"{part}: can't be written ({error.strerror})") from None
    if n_here != n_whole:
        raise _cut(address, part, n_here, n_whole, "connection closed")


def _headers(address: Address, part: Path, tag_file: Path) -> dict[str, str]:
    """Headers that ask for the rest of ``part``, or for everything."""
    headers = {"User-Agent": "gpu-faas"}
    if part.exists() and part.stat().st_size:
        tag = tag_file.read_text("utf-8") if tag_file.exists() else ""
        if tag or address.sha256:
            headers["Range"] = f"bytes={part.stat().st_size}-"
        if tag:
            headers["If-Range"] = tag
    return headers


def _validator(response: HTTPResponse) -> str:
    """What If-Range may name: a strong ETag, else the date of the last change, else nothing."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else str(response.headers.get("Last-Modified", ""))


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


def _read(address: Address, response: HTTPResponse, part: Path, n_here: int, n_whole: int) -> bytes:
    try:
        return response.read(_BLOCK_BYTES)
    except (OSError, HTTPException) as error:
        raise _cut(address, part, n_here, n_whole, _reason(error)) from None


def _cut(address: Address, part: Path, n_here: int, n_whole: int, why: str) -> TraceError:
    return TraceError(
        f"{address.url}: cut after {n_here:,} of {n_whole:,} bytes ({why}); they are kept in {part}, "
        "and the same command goes on from there"
    )


def _reason(error: Exception) -> str:
    """What happened, without the wrapping of urllib."""
    cause = getattr(error, "reason", error)
    return str(getattr(cause, "strerror", None) or cause or type(error).__name__)
