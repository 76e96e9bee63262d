"""The CUDA Multi-Process Service (MPS): whether it runs, and what caps a process under it.

With its daemon, kernels of several processes run at once on a GPU; without, the GPU alternates between the processes
(NVIDIA, CUDA Multi-Process Service). A process finds the daemon by itself, when it creates its context.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from replay.errors import DeviceError

PERCENTAGE = "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"  # read when a context is created
PIPES, DEFAULT_PIPES = "CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps"
COMMAND = "nvidia-cuda-mps-control"


def has_daemon() -> bool:
    """Whether there is the pipe of a control daemon, so that processes are its clients."""
    return _pipe().exists()


def check_daemon() -> None:
    """Raise DeviceError, with what is missing and how to get it, unless there is the pipe of a control daemon."""
    pipe = _pipe()
    if pipe.exists():
        return
    if shutil.which(COMMAND) is None:
        raise DeviceError(
            f"mode 'fractional' needs MPS: the command {COMMAND} isn't there, which comes with the NVIDIA driver"
        )
    raise DeviceError(
        f"mode 'fractional' needs MPS: no control daemon runs, for there is no {pipe}; start one by '{COMMAND} -d', or "
        f"let {PIPES} name the folder of one"
    )


def cap(share: float) -> None:
    """Let the kernels of this process use a share of the multiprocessors; before it opens a GPU."""
    os.environ[PERCENTAGE] = f"{100 * share:g}"


@contextmanager
def running(needed: bool = True) -> Iterator[None]:
    """Have a control daemon for a while: the one that runs, or one that is started here and quits afterwards.

    Its folder is that of the environment or the default one. Raises DeviceError where it can't be had.
    """
    if not needed or has_daemon():
        yield
        return
    if shutil.which(COMMAND) is None:
        check_daemon()
    started = subprocess.run([COMMAND, "-d"], capture_output=True, text=True, check=False)
    if started.returncode:
        said = " ".join((started.stderr or started.stdout).split()) or f"exit status {started.returncode}"
        raise DeviceError(f"mode 'fractional' needs MPS: '{COMMAND} -d' fails ({said})")
    try:
        check_daemon()
        yield
    finally:
        subprocess.run([COMMAND], input="quit\n", capture_output=True, text=True, check=False)


def _pipe() -> Path:
    return Path(os.environ.get(PIPES, DEFAULT_PIPES)) / "control"
