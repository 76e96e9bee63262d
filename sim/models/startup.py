"""The cold start of an exclusive worker, as a ladder of named stages (Process -> first run)."""

from __future__ import annotations

from typing import NamedTuple


class Ladder(NamedTuple):
    """Seconds of each stage, in the order in which they happen.

    kill_release: until the process that had the device before is dead and its memory free; skipped on a device
    that nobody had before. process: a process exists. runtime: interpreter, libraries and model files.
    context: the CUDA context. modules: kernels are loaded. constants: copied to the device over the host link.
    first_run: what the first invocation takes longer than a warm one.
    """

    kill_release: float
    process: float
    runtime: float
    context: float
    modules: float
    constants: float
    first_run: float

    def on(self, fresh_device: bool) -> Ladder:
        """The stages that apply: a fresh device has no victim to wait for."""
        return self._replace(kill_release=0.0) if fresh_device else self

    @property
    def before_constants_s(self) -> float:
        """From the order to the first byte of constants."""
        return self.kill_release + self.process + self.runtime + self.context + self.modules
