"""The CUDA Multi-Process Service (MPS): whether it runs, and what caps a process under it.

With its daemon, kernels of several processes run at once on a GPU; without, the GPU alternates between the processes
(NVIDIA, CUDA Multi-Process Service). A process finds the daemon by itself, when it creates its context.
"""

from __future__ import annotations

import os
import shutil
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


def _pipe() -> Path:
    return Path(os.environ.get(PIPES, DEFAULT_PIPES)) / "control"
