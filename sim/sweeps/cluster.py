"""Tasks on a Ray cluster (extra ``cluster``): the same as in processes of this machine."""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any, TypeVar

from sim.errors import ScenarioError
from sim.processes.pool import LOOK_S, MOST_DEATHS

T = TypeVar("T")

LOCAL = "local"
_PATIENCE_S = 10.0  # with an address; Ray itself waits for minutes
_HOST_AND_PORT = re.compile(r"([^/\[\]]+):(\d{1,5})")
_DIED = f"its process died {MOST_DEATHS} times; was there memory enough on the nodes?"


@contextmanager
def joined(address: str, jobs: int) -> Iterator[None]:
    """A session on a cluster, for ``on_ray``; one that this process is in already is used as it is.

    address: of a cluster, whose nodes have this project installed; "local" starts one of ``jobs`` CPUs here, which
    goes at the end. Raises ScenarioError without Ray, or where no cluster answers.
    """
    ray = _ray()
    if ray.is_initialized():
        yield
        return
    where: dict[str, Any] = {"num_cpus": jobs, "include_dashboard": False} if address == LOCAL else {"address": address}
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster of ours reports nothing to anyone
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # or some versions give a tip
    try:
        _knock(address)
        ray.init(**where, logging_level=logging.ERROR, log_to_driver=False)
    except (OSError, RuntimeError, ValueError) as error:
        raise ScenarioError(f"--ray {address}: no cluster answers ({' '.join(str(error).split())})") from None
    try:
        yield
    finally:
        ray.shutdown()


def on_ray(
    work: Callable[[T], str], tasks: Sequence[T], stopping: Callable[[], bool]
) -> Generator[tuple[T, str], None, None]:
    """See ``sim.processes.pool.in_processes``; Ray begins a task again whose process or node dies."""
    ray = _ray()
    remote = ray.remote(max_retries=MOST_DEATHS - 1)(work)
    waiting = {remote.remote(task): task for task in tasks}
    try:
        with redirect_stdout(sys.stderr):  # where Ray says that a process died
            while waiting and not stopping():
                for reference in ray.wait([*waiting], timeout=LOOK_S)[0]:
                    yield waiting.pop(reference), _result(ray, reference)
    finally:
        for reference in waiting:
            ray.cancel(reference, force=True)


def _result(ray: Any, reference: Any) -> str:
    """What came of a task, or why it never ended."""
    try:
        return str(ray.get(reference))
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError):
        return _DIED
    except ray.exceptions.RayError as error:
        return f"Ray: {' '.join(str(error).split())}"


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise ScenarioError("--ray needs Ray, which pip installs with the extra 'cluster' of this project") from None
    return ray


def _knock(address: str) -> None:
    """Raise OSError when nobody listens at HOST:PORT."""
    if match := _HOST_AND_PORT.fullmatch(address):
        socket.create_connection((match[1], int(match[2])), _PATIENCE_S).close()
