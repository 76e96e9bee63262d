"""Where a library of NVIDIA's may lie: in its wheels, in the Python environment, or in a CUDA toolkit."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path


def library_paths(name: str, part: str, major: int) -> Iterator[str]:
    """Paths of a file, and at last its name alone, as the system's loader takes it.

    part: folder that wheels of CUDA 12 and older have it in; major: of CUDA, whose wheels from 13 on share one.
    """
    spec = importlib.util.find_spec("nvidia")  # the namespace package that NVIDIA's wheels share
    wheels = [Path(p) for p in (spec.submodule_search_locations or ())] if spec else []
    toolkit = Path(os.environ.get("CUDA_PATH", "/usr/local/cuda"))
    folders = [
        *(w / folder / "lib" for w in wheels for folder in (part, f"cu{major}")),
        *(Path(sys.prefix) / "lib", toolkit / "lib64"),
    ]
    yield from (str(f / name) for f in folders)
    yield name
