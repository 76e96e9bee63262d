"""The cold start of an exclusive worker, as a ladder of named stages (Process -> first run)."""

from __future__ import annotations

from typing import NamedTuple


class Ladder(NamedTuple):
    """Seconds of each stage, in the order in which they happen.

    kill_release: until the process that had the device before has noticed that it is to go, is dead and its memory
    free; as of one that was busy, see ``after``. process: a process exists. runtime: interpreter, libraries and
    model files. context: the CUDA context. modules: kernels are loaded. constants: copied to the device over the host
    link. first_run: what the first invocation takes longer than a warm one.
    """

    kill_release: float
    process: float
    runtime: float
    context: float
    modules: float
    constants: float
    first_run: float

    def after(self, elapsed_s: float | None) -> Ladder:
        """The stages on a device whose last process is in its notice period for so long, or longer gone.

        None: there was none, or it is in nobody's way.
        """
        left_s = 0.0 if elapsed_s is None else max(self.kill_release - elapsed_s, 0.0)
        return Ladder(left_s, *self[1:])

    @property
    def before_constants_s(self) -> float:
        """From the order to the first byte of constants."""
        return self.kill_release + self.process + self.runtime + self.context + self.modules


def elapsed_s(period_s: float, idle_s: float) -> float:
    """How much of its notice period is behind a process that has been idle for ``idle_s`` and is told to go.

    It looks once a period, of which the first begins when it gets idle. So one that was told while it was busy takes a
    whole period to notice, and an idle one any part of it.
    """
    return idle_s % period_s if period_s else 0.0
