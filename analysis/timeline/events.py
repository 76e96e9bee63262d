"""Events in the Chrome trace event format, a line each, in a gzip file whose bytes depend on nothing else.

The format: N. Duca and D. Sinclair, *Trace Event Format*, 2016 (the document of the Chromium project). Instants and
durations are microseconds, written with three decimals from whole nanoseconds, so that slices which end together do so
in the file.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sim.files.output import create, new_file

# The events come first: Perfetto reads no further than to a key that it does not know. The first one marks our files.
_HEAD = '{"traceEvents": [\n{"ph":"M","pid":1,"name":"process_labels","args":{"labels":"gpu-faas"}}'
_LEVEL = 6  # of gzip: twice as quick as the highest, for a twentieth more bytes


def text(value: object) -> str:
    """A value in JSON."""
    return json.dumps(value, allow_nan=False)


def us(ns: int) -> str:
    """Whole nanoseconds from 0 in microseconds."""
    return f"{ns // 1000}.{ns % 1000:03d}"


def piece(pid: int, tid: int, begin_ns: int, end_ns: int, name: str, args: str = "{}") -> str:
    """A slice. name, args: JSON."""
    return (
        f'{{"ph":"X","pid":{pid},"tid":{tid},"ts":{us(begin_ns)},"dur":{us(end_ns - begin_ns)},'
        f'"name":{name},"args":{args}}}'
    )


def instant(pid: int, tid: int, at_ns: int, name: str, args: str = "{}") -> str:
    """An instant on a track. name, args: JSON."""
    return f'{{"ph":"i","s":"t","pid":{pid},"tid":{tid},"ts":{us(at_ns)},"name":{name},"args":{args}}}'


def arrow(phase: str, pid: int, tid: int, at_ns: int, number: int) -> str:
    """A point of the arrow of an invocation: its begin (s), a step (t) or its end (f), at the slice that is there."""
    end = ',"bp":"e"' if phase == "f" else ""
    return (
        f'{{"ph":"{phase}","pid":{pid},"tid":{tid},"ts":{us(at_ns)},"id":{number},"cat":"invocation",'
        f'"name":"invocation"{end}}}'
    )


def counter(pid: int, at_ns: int, name: str, value: int) -> str:
    """A value of a counter from this instant on. name: JSON."""
    return f'{{"ph":"C","pid":{pid},"ts":{us(at_ns)},"name":{name},"args":{{"value":{value}}}}}'


def named_process(pid: int, name: str) -> Iterator[str]:
    """What a process is called; those with lower numbers stand higher."""
    yield f'{{"ph":"M","pid":{pid},"name":"process_name","args":{{"name":{text(name)}}}}}'
    yield f'{{"ph":"M","pid":{pid},"name":"process_sort_index","args":{{"sort_index":{pid}}}}}'


def named_track(pid: int, tid: int, name: str) -> Iterator[str]:
    """What a track is called; those with lower numbers stand higher."""
    yield f'{{"ph":"M","pid":{pid},"tid":{tid},"name":"thread_name","args":{{"name":{text(name)}}}}}'
    yield f'{{"ph":"M","pid":{pid},"tid":{tid},"name":"thread_sort_index","args":{{"sort_index":{tid}}}}}'


def write(file: Path, about: Mapping[str, Any], events: Iterable[str]) -> None:
    """Write a file, about which ``about`` tells under ``otherData``; one that this wrote before is replaced.

    Raises OutputError as ``sim.files.output.new_file`` does.
    """
    with new_file(file, _is_ours) as part, _opened(part) as out:
        out.write(_HEAD)
        for event in events:
            out.write(",\n" + event)
        out.write(f'\n],\n"displayTimeUnit": "ms",\n"otherData": {text(about)}}}\n')


@contextmanager
def _opened(part: Path) -> Iterator[io.TextIOWrapper]:
    with (
        create(part) as raw,
        gzip.GzipFile("", "wb", _LEVEL, raw, mtime=0) as packed,
        io.TextIOWrapper(packed, "utf-8", write_through=False) as out,
    ):
        yield out


def _is_ours(file: Path) -> bool:
    try:
        with gzip.open(file) as packed:
            return packed.read(len(_HEAD)) == _HEAD.encode()
    except (OSError, EOFError):
        return False
