"""Failures of the simulated fleet: what they take with them, who is told, and what comes back.

A policy is told of what a failure takes before it is told what was lost by it, so that it orders nothing of what is
gone: devices, then workers, then invocations (``sim.protocol``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod

from sim.domain import FleetSpec
from sim.engine.clock import Clock
from sim.engine.fleet import SimFleet
from sim.engine.hardware import NAN, Lost, SimWorker
from sim.models.failures import EVERY, Failures
from sim.protocol import WORKER_CHANGED, DeviceChanged, Event, Finished, Outcome, WorkerStopped


class Failing:
    """Lets the fleet fail.

    delay_s: until the policy hears of it. tell: called with (instant, event), then. lose: with (instant, what was lost,
    worker, reason).
    """

    def __init__(
        self,
        clock: Clock,
        failures: Failures,
        spec: FleetSpec,
        fleet: SimFleet,
        *,
        delay_s: float,
        tell: Callable[[float, Event], None],
        lose: Callable[[float, Lost, SimWorker, str], None],
    ) -> None:
        self._clock = clock
        self._failures = failures
        self._spec = spec
        self._fleet = fleet
        self._delay_s = delay_s
        self._tell = tell
        self._lose = lose
        self._n_down = [0] * spec.n_gpus  # failures that keep a device down
        self._factors: dict[tuple[str, int], list[float]] = {}  # of what is slow now

    @property
    def next_at_s(self) -> float:
        """When something happens next; infinite if nothing does."""
        following = self._failures.next
        return float("inf") if following is None else following.at_s

    @property
    def gives_hope(self) -> bool:
        """Whether something will be repaired."""
        return self._failures.n_to_repair > 0

    @property
    def n_down(self) -> int:
        """Devices that are out of order."""
        return sum(n > 0 for n in self._n_down)

    def go_on(self, *, idle: bool) -> None:
        """What happens next happens. idle: nothing else is left in this world, so nothing fails any more."""
        following = self._failures.next
        assert following is not None
        if idle and following.begins:
            self._failures.skip()
            return
        self._clock.pass_until(following.at_s)
        now_s = self._clock.now
        self._failures.take()
        failure = self._failures.entries[following.entry]
        unit, begins = following.unit, following.begins
        if failure.what == "worker":
            self._crash(now_s, unit)
        elif failure.what in ("device", "node"):
            devices = [unit] if failure.what == "device" else self._spec.gpus_of(unit)
            if begins:
                self._take_down(now_s, devices, f"its {failure.what} failed")
            else:
                self._bring_back(now_s, devices)
        else:
            assert failure.factor is not None
            self._change_pace(failure.what, unit, failure.factor, begins=begins)

    def _crash(self, now_s: float, number: int) -> None:
        workers = list(self._fleet.workers.values()) if number == EVERY else [self._fleet.workers.get(number)]
        dead = [worker for worker in workers if worker is not None and worker.lanes and worker.lost is None]
        for worker in dead:
            self._fleet.crash(now_s, worker)
        self._when_heard(partial(self._tell_lost, (), dead, "its worker crashed"))

    def _take_down(self, now_s: float, devices: Sequence[int], reason: str) -> None:
        dead: list[SimWorker] = []
        lost: list[int] = []
        for device in devices:
            self._n_down[device] += 1
            if self._n_down[device] == 1 and (its := self._fleet.lose(now_s, device)) is not None:
                dead += its
                lost.append(device)
        self._when_heard(partial(self._tell_lost, lost, dead, reason))

    def _bring_back(self, now_s: float, devices: Sequence[int]) -> None:
        for device in devices:
            self._n_down[device] -= 1
            if self._n_down[device] == 0 and (slots := self._fleet.repair(device)):
                self._when_heard(partial(self._tell_back, DeviceChanged(device, slots)))

    def _tell_back(self, event: DeviceChanged) -> None:
        self._tell(self._clock.now, event)

    def _when_heard(self, tell: Callable[[], None]) -> None:
        if self._delay_s:
            self._clock.call(self._clock.now + self._delay_s, WORKER_CHANGED, lambda _: tell())
        else:
            tell()

    def _tell_lost(self, devices: Sequence[int], dead: list[SimWorker], reason: str) -> None:
        """What a policy orders meanwhile of what is dead is lost as well."""
        now_s = self._clock.now
        for device in devices:
            self._tell(now_s, DeviceChanged(device, ()))
        dead = dead + [worker for device in devices for worker in self._fleet.forsaken(now_s, device)]
        for worker in dead:
            self._fleet.bury(worker)
            self._tell(now_s, WorkerStopped(worker.number, died=True))
        for worker in dead:
            assert worker.lost is not None
            for invocation, _, _, order in worker.queue:
                worker.lost.append(Lost((invocation, *(order.others if order is not None else ())), NAN))
            for lost in worker.lost:
                self._lose(now_s, lost, worker, reason)
                first, *others = lost.invocations
                self._tell(now_s, Finished(first, worker.number, Outcome.FAILED, tuple(others)))

    def _change_pace(self, what: str, unit: int, factor: float, *, begins: bool) -> None:
        """What begins from now on takes longer, or no longer."""
        factors = self._factors.setdefault((what, unit), [])
        factors.append(factor) if begins else factors.remove(factor)
        if what == "slow":
            self._fleet.slow_down(unit, prod(factors))
        else:
            device = self._fleet.devices[unit]
            device.h2d.stretch = device.d2h.stretch = 1 / prod(factors)
