"""Tasks on a Ray cluster (extra ``cluster``): the same as in processes of this machine."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import redirect_stdout
from typing import Any, TypeVar

from sim.errors import ScenarioError
from sim.sweeps.pool import LOOK_S, MOST_DEATHS

T = TypeVar("T")

LOCAL = "local"
_DIED = f"its process died {MOST_DEATHS} times; was there memory enough on the nodes?"


def on_ray(
    work: Callable[[T], str], tasks: Sequence[T], address: str, jobs: int, stopping: Callable[[], bool]
) -> Generator[tuple[T, str], None, None]:
    """See ``sim.sweeps.pool.in_processes``; Ray begins a task again whose process or node dies.

    address: of a cluster, whose nodes have this project installed; "local" starts one of ``jobs`` CPUs here, which
    goes at the end. A session of Ray that this process is in already is used as it is. Raises ScenarioError without
    Ray, or where no cluster answers.
    """
    ray = _ray()
    ours = not ray.is_initialized()
    if ours:
        _join(ray, address, jobs)
    try:
        with redirect_stdout(sys.stderr):  # where Ray says that a process died
            yield from _ended(ray, work, tasks, stopping)
    finally:
        if ours:
            ray.shutdown()


def _ended(
    ray: Any, work: Callable[[T], str], tasks: Sequence[T], stopping: Callable[[], bool]
) -> Generator[tuple[T, str], None, None]:
    remote = ray.remote(max_retries=MOST_DEATHS - 1)(work)
    waiting = {remote.remote(task): task for task in tasks}
    try:
        while waiting and not stopping():
            for reference in ray.wait([*waiting], timeout=LOOK_S)[0]:
                task = waiting.pop(reference)
                try:
                    result = str(ray.get(reference))
                except ray.exceptions.RayError as error:
                    died = isinstance(error, ray.exceptions.WorkerCrashedError | ray.exceptions.OutOfMemoryError)
                    result = _DIED if died else f"Ray: {' '.join(str(error).split())}"
                yield task, result
    finally:
        for reference in waiting:
            ray.cancel(reference, force=True)


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise ScenarioError("--ray needs Ray, which pip installs with the extra 'cluster' of this project") from None
    return ray


def _join(ray: Any, address: str, jobs: int) -> None:
    """Start a cluster, or join one, in silence."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster of ours reports nothing to anyone
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # or some versions give a tip
    where: dict[str, Any] = {"num_cpus": jobs, "include_dashboard": False} if address == LOCAL else {"address": address}
    try:
        ray.init(**where, logging_level=logging.ERROR, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ScenarioError(f"--ray {address}: no cluster answers ({' '.join(str(error).split())})") from None
