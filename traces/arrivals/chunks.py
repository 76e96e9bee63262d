"""Chunks of arrivals, merged and cut to a size that suits their user."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from sim.domain import ArrivalChunk

_LEAST = 20_000  # quiet minutes are merged up to this many arrivals
_MOST = 100_000  # busy ones are cut into chunks of at most so many


def rechunk(pieces: Iterable[ArrivalChunk]) -> Iterator[ArrivalChunk]:
    """Merge small pieces and cut big ones, so that chunks are neither many nor large. Keeps the order."""
    for chunk in merged(pieces, _LEAST):
        for start in range(0, len(chunk.at_s), _MOST):
            part = slice(start, start + _MOST)
            yield ArrivalChunk(chunk.at_s[part], chunk.function[part], chunk.duration_s[part])


def merged(pieces: Iterable[ArrivalChunk], least: int) -> Iterator[ArrivalChunk]:
    """Merge consecutive pieces into chunks of at least so many arrivals, the last one aside."""
    waiting: list[ArrivalChunk] = []
    n_waiting = 0
    for piece in pieces:
        waiting.append(piece)
        n_waiting += len(piece.at_s)
        if n_waiting >= least:
            yield _joined(waiting)
            waiting, n_waiting = [], 0
    if waiting:
        yield _joined(waiting)


def _joined(pieces: Sequence[ArrivalChunk]) -> ArrivalChunk:
    if len(pieces) == 1:
        return pieces[0]
    return ArrivalChunk(
        np.concatenate([p.at_s for p in pieces]),
        np.concatenate([p.function for p in pieces]),
        np.concatenate([p.duration_s for p in pieces]),
    )
