"""Compare simulations with recorded replays: python -m validation [accept | record]

Exits 1 when an error has grown beyond its budget. accept: make the errors of now the budget. record: replay anew on
this machine, which should have nothing else to do for some minutes, and make that the budget.
"""

from __future__ import annotations

import argparse
import sys

from replay.calibration.repeats import as_text
from validation.budget import HERE, accept, beyond, budget, errors_of, folders, simulate
from validation.record import record


def main() -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m validation", description=__doc__)
    parser.add_argument("act", nargs="?", choices=("compare", "accept", "record"), default="compare")
    act = parser.parse_args().act
    told = []
    for folder in [record(HERE)] if act == "record" else folders():
        scenes = simulate(folder)
        for scene, rows in scenes.items():
            print(as_text(f"{folder.name}, {scene}", rows) + "\n")
        errors = errors_of(scenes)
        if act == "compare":
            told += [f"{folder.name}, {sentence}" for sentence in beyond(errors, budget(folder))]
        else:
            accept(folder, errors)
    for sentence in told:
        print(sentence, file=sys.stderr)
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main())
