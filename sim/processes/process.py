"""A process of a pool: ``python -m sim.processes.process FD``, with the descriptor of a pipe to ``sim.processes.pool``.

It gets a function, then one task after another, and answers each with what the function makes of it. It works in a
thread, so that its main thread hears at once when its parent is gone, whatever ended that, and ends then.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any


def main() -> None:
    """Serve until the pipe is closed. Ctrl-C is for the parent; a run leaves signals alone outside the main thread."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe = Connection(int(sys.argv[1]))
    messages: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_work, args=(pipe, messages), daemon=True).start()
    with suppress(EOFError, OSError):
        while True:
            messages.put(pipe.recv())
    os._exit(0)


def _work(pipe: Connection, messages: SimpleQueue[Any]) -> None:
    try:
        work = messages.get()
        while True:
            pipe.send(work(messages.get()))
    except BaseException:
        traceback.print_exc()
        os._exit(1)


if __name__ == "__main__":
    main()
