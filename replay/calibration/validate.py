"""Measured beside simulated: the same trace under the same policy, in a replay and in a simulation of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from replay.errors import ReplayError
from replay.fleet.parts import order_bytes
from sim.dispatcher import Dispatcher
from sim.domain import DeviceSpec, FleetSpec, Function
from sim.models.calibration import Calibration
from sim.policies import make_policy
from sim.policies.base import BasePolicy
from sim.protocol import Costs, Event, Standing, View
from sim.records.decisions import FILE_NAME, check_decisions, read_decisions
from sim.records.results import Run
from sim.streams import Stream, generator

QUANTITIES: Mapping[str, Callable[[Mapping[str, Any]], float | None]] = {
    "throughput_per_s": lambda s: s["throughput_per_s"],
    "latency_p50_s": lambda s: s["latency_s"]["p50"],
    "latency_p90_s": lambda s: s["latency_s"]["p90"],
    "latency_p99_s": lambda s: s["latency_s"]["p99"],
    "cold_starts": lambda s: s["cold_starts"],
    "cache_hit_frac": lambda s: s["cache_hit_frac"],
    "h2d_bytes": lambda s: s["h2d_bytes"],
    "evictions": lambda s: s["evictions"],
}


@dataclass(frozen=True, slots=True)
class ComparedValue:
    """One quantity. error_frac: simulated / measured - 1; None where that is not defined."""

    name: str
    measured: float | None
    simulated: float | None

    @property
    def error_frac(self) -> float | None:
        """How far the simulation is off."""
        if self.measured is None or self.simulated is None:
            return None
        if self.measured == 0:
            return 0.0 if self.simulated == 0 else None
        return self.simulated / self.measured - 1


def compare(measured: Mapping[str, Any], simulated: Mapping[str, Any]) -> list[ComparedValue]:
    """Two summaries, quantity by quantity."""
    return [ComparedValue(name, of(measured), of(simulated)) for name, of in QUANTITIES.items()]


def check_pair(run: Run, calibration: Calibration) -> None:
    """Raise ReplayError unless a run is a replay on as much memory as a calibration says."""
    if run.manifest.get("world") != "replay":
        raise ReplayError(f"{run.path}: is a run of {run.manifest.get('world')!r}, must be one of 'replay run'")
    capacity_bytes = run.manifest["replay"]["device"]["capacity_bytes"]
    executor = calibration.executor
    simulated_bytes = calibration.device.memory_bytes - executor.margin_bytes - executor.context_bytes
    if simulated_bytes != capacity_bytes:
        raise ReplayError(
            f"{run.path}: had {capacity_bytes:,} B for buffers, but {calibration.name} has {simulated_bytes:,} B; "
            "replay and calibrate with the same --memory-limit"
        )


def on_memory_of(run: Run, calibration: Calibration) -> Calibration:
    """A calibration whose device has the memory that orders could count on in a replay; see ``check_pair``."""
    check_pair(run, calibration)
    if run.manifest["replay"]["mode"] != "shared":
        return calibration
    return replace(calibration, device=replace(calibration.device, memory_bytes=_device_of(run).memory_bytes))


def check_log(run: Run, functions: Sequence[Function]) -> int:
    """Tell a fresh policy the events of a replay again; returns how many. Raises ReplayError for another answer."""
    spec = FleetSpec(_device_of(run), run.manifest["scenario"]["fleet"]["gpus"])
    told = _Told(functions, run.manifest["replay"]["told"])
    rng = generator(run.manifest["scenario"]["seed"], Stream.POLICY)
    dispatcher = Dispatcher(policy_of(run), spec, functions, told, rng)
    return check_decisions(read_decisions(run.path / FILE_NAME), dispatcher)


def policy_of(run: Run) -> BasePolicy:
    """A fresh policy, like that of a run."""
    return make_policy(run.manifest["scenario"]["policies"][0])


class ToldPolicy(BasePolicy):
    """The policy of a replay, which believes of costs and devices what it believed there."""

    def __init__(self, run: Run) -> None:
        self._policy = policy_of(run)
        self.name = self._policy.name  # type: ignore[misc]
        self.workers = self._policy.workers  # type: ignore[misc]
        self.needs = self._policy.needs  # type: ignore[misc]
        self._told: Mapping[str, Mapping[str, float]] = run.manifest["replay"]["told"]
        self._device = _device_of(run)

    def describe(self) -> str:
        """As the policy itself."""
        return self._policy.describe()

    def reset(self, fleet: FleetSpec, functions: Any, costs: Costs, rng: Any) -> None:
        """Told the costs and the memory of the replay instead of those given."""
        self._policy.reset(replace(fleet, device=self._device), functions, _Told(functions, self._told), rng)

    def standing(self, fleet: FleetSpec) -> Sequence[Standing]:
        """As the policy itself."""
        return self._policy.standing(fleet)

    def on_event(self, now_s: float, event: Event, view: View) -> Any:
        """As the policy itself."""
        return self._policy.on_event(now_s, event, view)


def _device_of(run: Run) -> DeviceSpec:
    """The device as its policy knew it."""
    replay = run.manifest["replay"]
    device = replay["device"]
    return DeviceSpec(device["name"], order_bytes(replay["mode"], device))


class _Told:
    """Costs by function, from those by graph."""

    def __init__(self, functions: Sequence[Function], told: Mapping[str, Mapping[str, float]]) -> None:
        try:
            self._told = [told[f.graph.name] for f in functions]
        except KeyError as unknown:
            raise ReplayError(f"the replay knew nothing of the graph {unknown}; its catalogue has changed") from None

    def expected_s(self, function: int) -> float:
        """Seconds of a warm invocation."""
        return self._told[function]["expected_s"]

    def memory_bytes(self, function: int) -> int:
        """Bytes that a worker of it needs."""
        return int(self._told[function]["memory_bytes"])
