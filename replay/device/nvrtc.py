"""CUDA C compiled for a GPU by NVRTC: no toolkit, driver or GPU is needed, only NVIDIA's library.

It is called by ctypes rather than through CuPy, so that machines without a GPU check kernels by the very code that
compiles them where there is one.
"""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from replay.device.cache import cached
from replay.device.wheels import library_paths
from replay.errors import DeviceError, KernelError
from replay.kernels.sources import Signature, read_source

OPTIONS = ("--std=c++17", "--ptxas-options=-v")
MAJORS = (12, 13)  # of CUDA; the older first, whose code every driver takes that takes the newer's


@dataclass(frozen=True)
class Compiled:
    """One source for one architecture; ``log`` has a paragraph by ptxas for each kernel."""

    cubin: bytes
    ptx: str
    log: str


@dataclass(frozen=True)
class KernelFacts:
    """What a compiled kernel takes and needs: registers of a thread; static shared memory of a block."""

    signature: Signature
    registers: int
    shared_bytes: int
    spill_bytes: int
    max_threads: int | None  # the bound that the source gives with __launch_bounds__


def compile_cubin(source: Path | str, arch: str) -> bytes:
    """Cubin of a source (path or text) for a compute capability, as "90"; from the cache if it is there.

    Raises KernelError where the source is wrong or the architecture unknown, DeviceError without NVRTC.
    """
    name, text = read_source(source)
    nvrtc = load_nvrtc()
    parts = (text, arch, nvrtc.version, *OPTIONS)
    path = cached(parts, ".cubin", lambda p: _write(p, nvrtc.compile(text, arch, name).cubin))
    return path.read_bytes()


class Nvrtc:
    """The library at a path. ``version`` is as "12.9"."""

    def __init__(self, path: str) -> None:
        # The library of CUDA 13's wheel doesn't find this part of it by itself.
        for builtins in sorted(Path(path).parent.glob("libnvrtc-builtins.so.*")):
            ctypes.CDLL(str(builtins), mode=ctypes.RTLD_GLOBAL)
        self._library = ctypes.CDLL(path)
        self._library.nvrtcGetErrorString.restype = ctypes.c_char_p
        major, minor = ctypes.c_int(), ctypes.c_int()
        self._check(self._library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
        self.version = f"{major.value}.{minor.value}"

    def compile(self, text: str, arch: str, name: str) -> Compiled:
        """Compile for sm_``arch``; ``name`` stands in the compiler's messages. Raises KernelError with its log."""
        options = [f"--gpu-architecture=sm_{arch}".encode(), *(o.encode() for o in OPTIONS)]
        program = ctypes.c_void_p()
        create = self._library.nvrtcCreateProgram
        self._check(create(ctypes.byref(program), text.encode(), name.encode(), 0, None, None))
        try:
            array = (ctypes.c_char_p * len(options))(*options)
            status = self._library.nvrtcCompileProgram(program, len(options), array)
            log = self._get("ProgramLog", program).rstrip(b"\0").decode()
            if status:
                raise KernelError(f"{name} doesn't compile for sm_{arch} (NVRTC {self.version}):\n{log.strip()}")
            ptx = self._get("PTX", program).rstrip(b"\0").decode()
            return Compiled(self._get("CUBIN", program), ptx, log)
        finally:
            self._library.nvrtcDestroyProgram(ctypes.byref(program))

    def _get(self, what: str, program: ctypes.c_void_p) -> bytes:
        size = ctypes.c_size_t()
        self._check(getattr(self._library, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
        content = ctypes.create_string_buffer(size.value)
        self._check(getattr(self._library, f"nvrtcGet{what}")(program, content))
        return content.raw

    def _check(self, status: int) -> None:
        if status:
            raise DeviceError(f"NVRTC fails with {self._library.nvrtcGetErrorString(status).decode()}")


@lru_cache
def load_nvrtc() -> Nvrtc:
    """NVRTC, from wheels, the Python environment or a CUDA toolkit; DeviceError if it is in none of them."""
    for major in MAJORS:
        for path in library_paths(f"libnvrtc.so.{major}", "cuda_nvrtc", major):
            try:
                return Nvrtc(path)
            except OSError:
                continue
    raise DeviceError(
        "NVRTC, NVIDIA's compiler, is missing: pip install nvidia-cuda-nvrtc-cu12, or let CUDA_PATH name a toolkit"
    )


_ENTRY = re.compile(r"\.visible \.entry (\w+)\((.*?)\)(.*?)\{", re.S)
_PARAMETER = re.compile(r"\.param \.(\w+)")
_MAX_THREADS = re.compile(r"\.maxntid (\d+)")
_CODES = {"u32": "i", "s32": "i", "f32": "f", "f64": "d"}  # u64 is left: pointers and integers look the same
_PTXAS = re.compile(r"Compiling entry function '(\w+)'(.*?)Used (\d+) registers([^\n]*)", re.S)


def kernel_facts(compiled: Compiled) -> dict[str, KernelFacts]:
    """What PTX and ptxas say of each kernel. In signatures, P stands for 64-bit integers too."""
    entries = {name: (parameters, bounds) for name, parameters, bounds in _ENTRY.findall(compiled.ptx)}
    facts = {}
    for name, before, registers, after in _PTXAS.findall(compiled.log):
        parameters, bounds = entries[name]
        max_threads = _MAX_THREADS.search(bounds)
        facts[name] = KernelFacts(
            signature="".join(_CODES.get(p, "P") for p in _PARAMETER.findall(parameters)),
            registers=int(registers),
            shared_bytes=_number(r"(\d+) bytes smem", after),
            spill_bytes=_number(r"(\d+) bytes spill stores", before),
            max_threads=int(max_threads[1]) if max_threads else None,
        )
    return facts


def _number(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    return int(found[1]) if found else 0


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
