"""How fast inference runs on an instance, by its slices, the size of a batch and the processes that share it.

A process works through batches one after another, and a batch is three things. The *host* launches its kernels, which
takes as long for any batch on any instance. The *GPU* runs them meanwhile, and is the slower of the two or hides behind
the host. And inputs are copied and results awaited, with nothing beside it. So alone a batch of b takes

    alone(b) = batch_s + input_s b + (host^p + gpu(b)^p)^(1/p)

which for the large p of real programs is the larger of host and GPU, and a little more where they are equal. Of the
work of the GPU a part goes with the compute slices, a part with the memory slices, and a part c gets no faster, as the
serial part does in Amdahl's law (AFIPS 1967):

    gpu(b) = work(b) ((1 - c) ((1 - m) / compute slices + m / memory slices) + c)

n processes under MPS launch and copy side by side, but the instance has one GPU: in throughput they are at most n
times as fast as one, and never faster than the GPU's work allows (Denning and Buzen, Computing Surveys 10(3), 1978):

    latency(b, n) = (alone(b)^p + (n^p - 1) gpu(b)^p)^(1/p),    throughput(b, n) = n b / latency(b, n)

It limits small batches on a large instance as well: work that hides behind the host of one process is there for many.

p, m, batch_s and input_s are of all models. Those of ``A100`` were fitted to six networks of ParvaGPU (SC '24) on
A100-80 GPUs; docs/design/mig.md says how, and how well networks are predicted that they weren't fitted to. host, c and
work(b) are a model's own, and follow from measurements with one process on two kinds of instance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from sim.models.mig.profiles import Profile

Array: TypeAlias = "npt.NDArray[np.float64]"
Number: TypeAlias = "float | Array"  # what is said of one is said of an array, element by element

_HIDDEN = 1.05  # below this multiple of the host's time a measurement says nothing of the GPU's
_PULL = 4.0  # measurements are about 3 % off, and c of models about 0.0075 from the usual: how one weighs in the other
_SERIAL_FRACS = np.arange(0.0, 0.1, 0.004)
_HOST_FRACS = np.arange(0.0, 1.1, 0.01)  # of the fastest batch there is


@dataclass(frozen=True, slots=True)
class Law:
    """What is the same for all models.

    sharpness: p. memory_frac: m. batch_s, input_s: what nothing hides, for each batch and each input of it.
    serial_frac: the usual c, from which that of a model departs as far as its measurements ask for it.
    """

    sharpness: float
    memory_frac: float
    batch_s: float
    input_s: float
    serial_frac: float

    def unhidden_s(self, batch: int) -> float:
        """Copies and waits of a batch."""
        return self.batch_s + self.input_s * batch

    def stretch(self, profile: Profile, serial_frac: Number) -> Number:
        """The GPU's time for some work on an instance, over that on one compute and one memory slice."""
        of_slices = (1 - self.memory_frac) / profile.compute_slices + self.memory_frac / profile.memory_slices
        return (1 - serial_frac) * of_slices + serial_frac

    def larger(self, a: Number, b: Number) -> Number:
        """(a^p + b^p)^(1/p) of times > 0."""
        most: Array = np.maximum(a, b)
        return most * ((a / most) ** self.sharpness + (b / most) ** self.sharpness) ** (1 / self.sharpness)

    def other(self, whole: Number, one: Number) -> Number:
        """The time that ``larger`` makes the whole of, with one that is shorter than it."""
        return whole * (1 - (one / whole) ** self.sharpness) ** (1 / self.sharpness)


A100 = Law(sharpness=6.37, memory_frac=0.422, batch_s=0.38e-3, input_s=50e-6, serial_frac=0.0125)


@dataclass(frozen=True, slots=True)
class Scaling:
    """One model on instances of any size.

    host_s: to launch a batch. serial_frac: c. work_s: by batch size ascending, the GPU's work on one slice.
    """

    law: Law
    host_s: float
    serial_frac: float
    work_s: Mapping[int, float]

    def gpu_s(self, profile: Profile, batch: int) -> float:
        """What a batch keeps the GPU of an instance busy.

        Between sizes that were measured the work is interpolated, and beyond them proportional.
        """
        sizes, works = [0, *self.work_s], [0.0, *self.work_s.values()]
        beyond = max(1.0, batch / sizes[-1])
        return float(np.interp(batch, sizes, works) * beyond * self.law.stretch(profile, self.serial_frac))

    def latency_s(self, profile: Profile, batch: int, n_processes: int = 1) -> float:
        """From one batch of a process to its next, where n processes share the instance and none ever waits for work.

        batch and n_processes >= 1.
        """
        p = self.law.sharpness
        gpu_s = self.gpu_s(profile, batch)
        alone_s = self.law.unhidden_s(batch) + float(self.law.larger(self.host_s, gpu_s))
        return float(alone_s * (1 + (n_processes**p - 1) * (gpu_s / alone_s) ** p) ** (1 / p))

    def throughput_per_s(self, profile: Profile, batch: int, n_processes: int = 1) -> float:
        """Inputs per second of all n processes together."""
        return n_processes * batch / self.latency_s(profile, batch, n_processes)


def fitted(alone_s: Mapping[tuple[Profile, int], float], law: Law = A100) -> Scaling:
    """The model of which one process takes ``alone_s`` for a batch, by profile and batch size; at least one, all > 0.

    Host and c are those on a grid whose relative errors sum to least. The work of a batch follows from its smallest
    instance; where it hides behind the host it is taken to be proportional to that of the next larger batch.
    """
    serial_frac = _SERIAL_FRACS[np.argsort(abs(_SERIAL_FRACS - law.serial_frac), kind="stable"), np.newaxis]
    by_batch: dict[int, list[tuple[Number, float]]] = {}
    for (profile, batch), whole_s in sorted(alone_s.items(), key=_order):
        by_batch.setdefault(batch, []).append((law.stretch(profile, serial_frac), whole_s))
    # A model faster than the copies of all others is left a tenth of its time.
    visible_s = {b: [max(s - law.unhidden_s(b), s / 10) for _, s in points] for b, points in by_batch.items()}
    host_s = _HOST_FRACS * min(min(seconds) for seconds in visible_s.values()) + 1e-12
    misfit = _PULL * abs(serial_frac - law.serial_frac) + np.zeros_like(host_s)
    works: dict[int, Array] = {}
    per_input_s: Array | float = np.inf
    for batch, points in by_batch.items():
        stretch, first_s = points[0][0], visible_s[batch][0]
        work_s = law.other(np.maximum(first_s, _HIDDEN * host_s), host_s) / stretch
        works[batch] = work_s = np.where(
            first_s > _HIDDEN * host_s, work_s, np.minimum(work_s, np.multiply(per_input_s, batch))
        )
        per_input_s = work_s / batch
        for its_stretch, whole_s in points:
            predicted_s = law.unhidden_s(batch) + law.larger(host_s, work_s * its_stretch)
            misfit += abs(np.log(predicted_s / whole_s))
    best = np.unravel_index(int(np.argmin(misfit)), misfit.shape)
    return Scaling(
        law,
        host_s=float(host_s[best[1]]),
        serial_frac=float(serial_frac[best[0], 0]),
        work_s={batch: float(works[batch][best]) for batch in sorted(works)},
    )


def _order(point: tuple[tuple[Profile, int], float]) -> tuple[int, int, int]:
    """Large batches first, and of each the smallest instance."""
    (profile, batch), _ = point
    return -batch, profile.compute_slices, profile.memory_slices
