"""One scenario, one policy, one run directory."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sim.dispatcher import Dispatcher
from sim.domain import FleetSpec
from sim.engine import Simulation
from sim.errors import PolicyError, ScenarioError
from sim.files.fingerprint import changed
from sim.models.calibration import Calibration
from sim.models.costs import CostModel
from sim.offered import OfferedLoad, offered_load
from sim.policies import make_policy
from sim.protocol import share_devices
from sim.records.intervals import choose_interval_s
from sim.records.manifest import conclude, describe
from sim.records.recorder import Recorder
from sim.records.rundir import RunDirectory, run_directory
from sim.scenario import Scenario
from sim.settings import exact
from sim.terminal.signals import first_signal_calls
from sim.workload import Workload


class Experiment:
    """A policy on the workload of a scenario. Everything that can be refused is refused when it is made."""

    def __init__(self, scenario: Scenario, policy: str, workload: Workload, calibration: Calibration) -> None:
        self.policy = make_policy(policy)
        if scenario.frontend == "none":
            calibration = calibration.without_frontend()
        elif calibration.frontend is None:
            raise ScenarioError(f"frontend: is {scenario.frontend!r}, but the calibration {calibration.name} has none")
        self._scenario = scenario
        self._workload = workload
        self._calibration = calibration
        fleet = scenario.fleet
        self._fleet = FleetSpec(calibration.spec, fleet.gpus, fleet.gpus_per_node, fleet.gpus_per_link)
        self._costs = CostModel(calibration, workload.functions, self.policy.kind)
        rng = np.random.default_rng(0)
        brain = Dispatcher(self.policy, self._fleet, workload.functions, self._costs, rng)  # may refuse them
        if share_devices(brain.standing):
            for worker in brain.standing:
                self._costs.under_share(worker.function, worker.share)  # may not know how

    @property
    def name(self) -> str:
        """A name for the run's directory: the policy and those parameters that are not at their defaults."""
        changed = [
            f"-{f.name}={exact(getattr(self.policy, f.name))}"
            for f in dataclasses.fields(self.policy)  # type: ignore[arg-type]
            if getattr(self.policy, f.name) != f.default
        ]
        return self.policy.name + "".join(changed)

    def offered(self) -> OfferedLoad | None:
        """What the invocations ask of the fleet; None for clients in a closed loop, who ask for all they can get."""
        return offered_load(self._workload, self._costs, self._fleet)

    def run(self, directory: Path, *, force: bool, progress: Callable[[int], None] | None = None) -> dict[str, Any]:
        """Simulate and write the run directory; returns the summary.

        An interruption, a policy's mistake, or a trace that is not what it was when it was opened makes the run
        invalid: the directory then holds what was completed, and the summary says why. What a policy's code raises is
        raised again after that. ``progress`` is called with the number of arrivals since its last call.
        """
        interval_s = choose_interval_s(self._workload.trace.duration_s)
        facts = describe(self.policy, self._scenario, self._workload, self._calibration, interval_s)
        if (offered := self.offered()) is not None:
            facts["offered"] = offered.as_dict()
        with run_directory(directory, {"world": "sim", **facts}, force=force) as out:
            summary, crash = self._run(out, interval_s, facts["warnings"], progress)
        if crash is not None:
            raise crash
        return summary

    def _run(
        self, out: RunDirectory, interval_s: float, warnings: list[str], progress: Callable[[int], None] | None
    ) -> tuple[dict[str, Any], Exception | None]:
        """The summary, and what a policy's code raised."""
        recorder = Recorder(out.path, self._workload, self._fleet, self._costs, interval_s)
        simulation = Simulation(
            self._workload,
            self.policy,
            self._fleet,
            self._costs,
            recorder,
            self._scenario.seed,
            per_kernel=self._scenario.granularity == "kernel",
            progress=progress,
        )
        reasons, error, crash = [], None, None
        begun_s = time.perf_counter()
        try:
            with first_signal_calls(simulation.interrupt):
                simulation.run()
            if simulation.interrupted:
                reasons = [f"interrupted at {simulation.now_s:.6g} s of simulated time"]
            elif left := simulation.n_unfinished:
                reasons = [f"the policy left {left} invocations waiting for ever"]
        except PolicyError as refused:
            reasons, error = ["the policy ordered something impossible"], str(refused)
        except SystemExit as left:
            reasons, error = ["the policy tried to end the process"], repr(left)
        except OSError:  # nothing can be written, not even what was completed
            raise
        except Exception as failed:  # of a policy's code: its author gets the traceback, and what was completed
            reasons, error, crash = ["the run crashed"], repr(failed), failed
        simulation.close()
        recorder.close()
        times = {"simulated_s": simulation.now_s, "wall_s": time.perf_counter() - begun_s}
        reasons += [f"{file}: changed since it was opened" for file in changed(self._workload.inputs)]
        warnings = [*warnings, *simulation.limits()]
        return conclude(out, recorder, self.policy, times, reasons, error, warnings=warnings), crash
