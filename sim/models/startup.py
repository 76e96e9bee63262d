"""The cold start of an exclusive worker, as a ladder of named stages (Process -> first run)."""

from __future__ import annotations

from typing import NamedTuple


class Ladder(NamedTuple):
    """Seconds of each stage, in the order in which they happen.

    kill_release: until the process that had the device before has noticed that it is to go, is dead and its memory
    free; skipped on a device that nobody had before. process: a process exists. runtime: interpreter, libraries and
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

    def after(self, notice_s: float | None) -> Ladder:
        """The stages that apply after a victim that takes ``notice_s`` to notice; None: there is none to wait for."""
        return self._replace(kill_release=0.0 if notice_s is None else notice_s + self.kill_release)

    @property
    def before_constants_s(self) -> float:
        """From the order to the first byte of constants."""
        return self.kill_release + self.process + self.runtime + self.context + self.modules


def notice_s(period_s: float, idle_s: float) -> float:
    """How long a process that has been idle for ``idle_s`` takes to notice that it is to go.

    It looks once a period, the first of which begins with its idleness. So a process that was told while it was busy
    takes a whole period, and an idle one any part of it.
    """
    return period_s - idle_s % period_s if period_s else 0.0
