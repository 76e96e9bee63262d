"""Units, and the arrays of numbers that the whole package speaks of."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]

MINUTE_S = 60.0
DAY_S = 86_400.0
MINUTES_A_DAY = 1440
MIB = 2**20
