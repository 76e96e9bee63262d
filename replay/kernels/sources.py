"""Kernel sources: where they lie, what arguments their kernels take, and whether a launch fits.

Signatures are read from the text, so that a GPU and the CPU share one way and none needs a compiler. The rule that
makes this possible: a kernel is written out plainly as ``extern "C" __global__ void name(parameters)``, not by a macro.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from replay.errors import KernelError
from sim.domain import Kernel
from sim.models.workloads import gemm

KERNELS = Path(__file__).parent

Signature = str  # a letter for each argument: i 32-bit integer, Q 64-bit integer, f float, d double, P pointer

LIBRARIES: Mapping[str, Mapping[str, Signature]] = {gemm.SOURCE: dict.fromkeys(gemm.NAMES, gemm.SIGNATURE)}

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)
_BOUNDS = r"(?:__launch_bounds__\s*\([^)]*\)\s*)?"
_ENTRY = re.compile(rf"__global__\s+{_BOUNDS}void\s+{_BOUNDS}(\w+)\s*\(([^)]*)\)")
_QUALIFIERS = re.compile(r"\b(?:const|volatile|__restrict__)\b")
_CODES = {
    "int": "i",
    "unsigned": "i",
    "unsigned int": "i",
    "float": "f",
    "double": "d",
    "size_t": "Q",
    "long long": "Q",
    "unsigned long long": "Q",
}


def source_path(stem: str) -> Path:
    """File of a kernel source by the name that ``sim.domain.Kernel.source`` has; KernelError if there is none."""
    path = KERNELS / f"{stem}.cu"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in KERNELS.glob("*.cu")))
        raise KernelError(f"kernel source {stem!r} doesn't exist; there are {known}")
    return path


def read_source(source: Path | str) -> tuple[str, str]:
    """(name for messages, text) of a source given by its path or as text."""
    return (source.name, source.read_text()) if isinstance(source, Path) else ("source", source)


def signatures(source: Path | str) -> dict[str, Signature]:
    """Signature of each kernel of a source, by name; KernelError for parameters of other types or for no kernel."""
    name, text = read_source(source)
    found = {k: _signature(name, k, p) for k, p in _ENTRY.findall(_COMMENT.sub(" ", text))}
    if not found:
        raise KernelError(f'{name} has no kernel: none is declared as extern "C" __global__ void name(...)')
    return found


def known_signatures(stem: str) -> Mapping[str, Signature]:
    """Signature of all that a source has, by name, where the source is a library or a file; see ``source_path``."""
    return LIBRARIES[stem] if stem in LIBRARIES else signatures(source_path(stem))


def check_launch(kernel: Kernel, known: Mapping[str, Signature]) -> None:
    """Raise KernelError unless the literals and then the buffers of a launch fit the kernel's signature."""
    signature = known.get(kernel.name)
    if signature is None:
        where = kernel.source if kernel.source in LIBRARIES else f"{kernel.source}.cu"
        raise KernelError(f"kernel {kernel.name!r} isn't in {where}, which has {', '.join(known)}")
    given = "".join(code for code, _ in kernel.literals) + "P" * len(kernel.args)
    if given != signature:
        raise KernelError(
            f"kernel {kernel.source}.{kernel.name} takes the arguments {signature!r}, but the graph gives {given!r} "
            "(i int32, Q uint64, f float32, d float64, P buffer; literals first)"
        )


def _signature(source: str, kernel: str, parameters: str) -> Signature:
    codes = []
    for parameter in filter(str.strip, parameters.split(",")):
        if "*" in parameter:
            codes.append("P")
            continue
        c_type = " ".join(_QUALIFIERS.sub(" ", parameter).split()[:-1])
        if c_type not in _CODES:
            raise KernelError(
                f"{source}: kernel {kernel!r} has the parameter {parameter.strip()!r}, but only pointers and "
                f"{', '.join(_CODES)} can be given to a kernel"
            )
        codes.append(_CODES[c_type])
    return "".join(codes)
