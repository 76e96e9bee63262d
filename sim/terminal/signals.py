"""Ctrl-C, and the SIGTERM of a batch system. The first one ends what is under way, with its files closed or deleted; a
second one kills."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_AGAIN_S = 0.1


class Stop(KeyboardInterrupt):
    """A signal told this process to end. status: what a shell expects of it then, 130 for Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.status = 128 + number


class Stopper:
    """Raises Stop in the main thread at the first signal, and goes on until it is ``heard()``.

    Once isn't enough, since libraries drop exceptions that come at the wrong moment: PyArrow those that are raised
    while it imports pandas, and Python those in a callback of a weak reference, of which an import has many.
    """

    def __init__(self) -> None:
        self.stop: Stop | None = None

    def begin(self) -> None:
        """Wait for a signal. Where Python drops a stop it doesn't tell of it, since it comes again."""
        sys.unraisablehook = lambda dropped: (
            None if isinstance(dropped.exc_value, Stop) else sys.__unraisablehook__(dropped)
        )
        for number in SIGNALS:
            signal.signal(number, self._raise)

    def heard(self) -> None:
        """What was raised has arrived. From here on every signal kills."""
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)

    def _raise(self, number: int, frame: FrameType | None) -> None:
        self.heard()
        self.stop = Stop(number)
        signal.signal(signal.SIGALRM, self._raise_again)
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_S, _AGAIN_S)
        raise self.stop

    def _raise_again(self, number: int, frame: FrameType | None) -> None:
        """Unless it is on its way, through a ``finally`` for instance."""
        error = sys.exc_info()[1]
        while error is not None:
            if error is self.stop:
                return
            error = error.__context__
        assert self.stop is not None
        raise self.stop


@contextmanager
def first_signal_calls(stop: Callable[[], None]) -> Iterator[None]:
    """Let the first signal call ``stop``, which ends a run in good order, where there is more to lose than files."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def handle(number: int, frame: FrameType | None) -> None:
        restore()
        stop()

    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        restore()
