"""Loads and evictions that a policy orders, in the memory of executors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import isnan

import simpy

from sim.engine.clock import Clock
from sim.engine.hardware import SimWorker
from sim.engine.loading import Loading
from sim.errors import PolicyError
from sim.models.memory import Placement
from sim.protocol import FINISHED, Event, Evict, Load, Loaded


class Residency:
    """Carries the orders out. tell: called with (instant, event)."""

    def __init__(
        self,
        clock: Clock,
        loading: Loading | None,
        *,
        tell: Callable[[float, Event], None],
    ) -> None:
        self._clock = clock
        self._loading = loading
        self._tell = tell

    def load(self, now_s: float, worker: SimWorker, order: Load) -> None:
        """Copy what is missing of a function's constants; they have their place from now on, and stay until then."""
        function, columns, cache = order.function, worker.columns, worker.cache
        assert cache is not None
        assert worker.coming is not None
        assert worker.modules is not None
        if function in worker.coming:
            worker.coming[function].append(partial(self._say, worker, function, True))
            return
        scratch_bytes = sum(
            columns.costs.batch_scratch_bytes(lane.function, 1 + len(lane.others))
            for lane in worker.lanes
            if lane.invocation >= 0
        )
        placement = cache.request(function, columns.buffers[function], scratch_bytes)
        if placement is None:
            self._clock.call(now_s, FINISHED, lambda _: self._say(worker, function, False))
            return
        cache.pin(function)
        worker.coming[function] = []
        graph = columns.graph_of[function]
        new_modules = graph not in worker.modules
        worker.modules.add(graph)
        worker.ordered_bytes += placement.load_bytes
        copy = partial(self._copy, worker, function, placement, new_modules)
        self._clock.call(now_s, FINISHED, copy)  # the link is for runs that were ordered before

    def _copy(self, worker: SimWorker, function: int, placement: Placement, new_modules: bool, _: simpy.Event) -> None:
        now_s, costs, h2d = self._clock.now, worker.columns.costs, worker.device.h2d
        if self._loading is not None and placement.load_bytes:
            prepared_s = h2d.reserve(now_s, costs.prepare_s(function, placement, new_modules))[1]
            groups = costs.groups(function, placement.n_loaded, None)
            there = partial(self._expect, worker, function)
            load = partial(self._loading.load, worker.device, function, groups, there)
            self._clock.call(prepared_s, FINISHED, lambda _: load())
        else:
            load_s = costs.load_s(function, placement, new_modules) if placement.n_loaded else 0.0
            self._expect(worker, function, [h2d.reserve(now_s, load_s)[1]])

    def evict(self, worker: SimWorker, order: Evict) -> None:
        """Give the place of a function's constants free."""
        assert worker.cache is not None
        if worker.cache.is_pinned(order.function):
            raise PolicyError(f"{order} refused: the worker runs or loads this function")
        worker.cache.evict(order.function)

    def _expect(self, worker: SimWorker, function: int, there_at_s: Sequence[float]) -> None:
        self._clock.call(there_at_s[-1], FINISHED, partial(self._end, worker, function))

    def _end(self, worker: SimWorker, function: int, _: simpy.Event) -> None:
        assert worker.cache is not None
        assert worker.coming is not None
        worker.cache.unpin(function)
        self._say(worker, function, True)
        for go_on in worker.coming.pop(function):
            go_on()

    def _say(self, worker: SimWorker, function: int, resident: bool) -> None:
        if worker.lost is None and isnan(worker.stopped_at_s):  # else it is gone
            self._tell(self._clock.now, Loaded(worker.number, function, resident))
