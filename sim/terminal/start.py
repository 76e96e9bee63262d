"""Where the commands begin. Until they can end in good order there is nothing to lose, and Ctrl-C kills without a word.

Each function is a command; what takes time to import is imported inside.
"""

from __future__ import annotations

import signal


def simulate() -> None:
    """The ``simulate`` command."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from sim.cli import main

    main()


def traces() -> None:
    """The ``traces`` command."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from traces.cli import main

    main()


def analyze() -> None:
    """The ``analyze`` command."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from analysis.cli import main

    main()


def replay() -> None:
    """The ``replay`` command."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from replay.cli import main

    main()
