"""CUDA C sources made into code for this CPU, by g++ and ``cuda_on_cpu.h``."""

from __future__ import annotations

import ctypes
import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from replay.device.cache import cached
from replay.errors import DeviceError, KernelError
from replay.kernels.sources import Signature, read_source, signatures

HEADER = Path(__file__).with_name("cuda_on_cpu.h")
FLAGS = (
    *("-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-w"),
    *("-shared", "-fPIC", "-fno-semantic-interposition", "-Wl,-Bsymbolic"),
)

# Dynamic shared memory has one name for each kernel that uses it, which becomes a pointer to the launch's buffer.
_DYNAMIC_SHARED = re.compile(r"extern\s+__shared__\s+(?:__align__\s*\(\d+\)\s*)?([\w ]+?)\s+(\w+)\s*\[\s*\]\s*;")


def compile_host(source: Path | str) -> bytes:
    """Image of a source for ``HostDriver.moduleLoadData``: the path of a shared object in the cache."""
    name, text = read_source(source)
    compiler, *identity = find_compiler()
    kernels = signatures(source)
    rewritten = _DYNAMIC_SHARED.sub(r"\1* const \2 = (\1*)on_cpu::g.dynamic_shared;", text)
    exports = "".join(f"CUDA_ON_CPU_EXPORT({kernel})\n" for kernel in kernels)
    unit = f'#line 1 "{name}"\n{rewritten}\n{exports}'

    def make(path: Path) -> None:
        command = [compiler, *FLAGS, "-include", str(HEADER), "-x", "c++", "-", "-o", str(path)]
        done = subprocess.run(command, input=unit, capture_output=True, text=True)
        if done.returncode:
            raise KernelError(f"{name} doesn't compile for this CPU:\n{done.stderr.strip()}")

    parts = (unit, HEADER.read_text(), *FLAGS, *identity)
    return str(cached(parts, ".so", make)).encode()


def find_compiler() -> tuple[str, str, str]:
    """Path of the compiler, its version, and what it compiles for. Raises DeviceError without one."""
    compiler = shutil.which("g++")
    if compiler is None:
        raise DeviceError("g++ is missing, which the device 'cpu' needs: install it, as by apt-get install g++")
    return compiler, _version(compiler), _cpu()


class HostModule:
    """A loaded image. Its launches must not overlap: the state of a launch is global in a shared object."""

    def __init__(self, image: bytes) -> None:
        self._library = ctypes.CDLL(image.decode())

    def function(self, name: str) -> tuple[Callable[..., int], Signature]:
        """(C function that launches a kernel, the kernel's signature); AttributeError for an unknown name.

        The C function takes grid (3), block (3), bytes of dynamic shared memory, address of the array of pointers
        to the arguments, schedule and poison; it returns one of on_cpu::Result.
        """
        signature = self._library[f"cuda_on_cpu_signature_{name}"]
        signature.restype = ctypes.c_char_p
        launch = self._library[f"cuda_on_cpu_launch_{name}"]
        launch.argtypes = [*[ctypes.c_uint] * 7, ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
        return launch, signature().decode()


@lru_cache
def _version(compiler: str) -> str:
    return subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout


@lru_cache
def _cpu() -> str:
    """What -march=native depends on: a home directory may be shared by machines with different CPUs."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    except OSError:
        flags = platform.node()
    return platform.machine() + flags
