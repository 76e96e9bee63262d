"""A synthetic trace in the exact file layout of Azure Functions 2019.

It follows what is published of the data set: Shahrad et al., "Serverless in the Wild", USENIX ATC 2020, the figures
that come with the data, and a genuine sample of 500 functions that InVitro published. ``facts`` has the numbers,
``compare`` compares them with a trace, and docs/howto/synthetic-traces.md says what is reproduced and what isn't.

Functions are drawn at once (``population``, ``work``), their counts in blocks that are written and forgotten
(``counts``, ``tables``): memory hardly grows with functions and days.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from traces.synth.counts import draw_counts
from traces.synth.defects import draw_defects, no_defects
from traces.synth.files import publish
from traces.synth.ids import Ids
from traces.synth.population import draw_population
from traces.synth.tables import DayTables, write_loads
from traces.synth.work import SERVICES
from traces.units import MINUTES_A_DAY


def write_azure2019(
    directory: Path,
    *,
    n_functions: int = 100,
    minutes: int = 60,
    rate_per_s: float | None = None,
    service: str = "azure",
    defects: bool = False,
    seed: int = 0,
    overwrite: bool = False,
) -> list[Path]:
    """Write the tables of the days that ``minutes``, from the midnight of d01, reach into; returns the files.

    Every function is invoked at least once, and all together about ``rate_per_s`` times a second on average over
    these minutes; None stands for the published rates. A day's tables have the functions that are invoked that day.
    ``service`` is one of ``traces.synth.work.SERVICES``; with load times there is a table of them, too.
    The files are the same, byte for byte, for the same arguments and version of NumPy.
    An interrupted call leaves nothing that can be mistaken for a trace.

    Raises TraceError when the numbers can't be met, a file is in the way and ``overwrite`` is false, or the
    disk refuses.
    """
    population = draw_population(n_functions, minutes, rate_per_s, seed)
    work = SERVICES[service](population, np.random.default_rng([seed, 2]))
    ids = Ids(population, seed)
    odd = np.random.default_rng([seed, 3])
    days = range(1, -(-minutes // MINUTES_A_DAY) + 1)
    with publish(directory, overwrite) as hidden:
        tables = []
        for day in days:
            of_day = draw_defects(population, day, odd) if defects else no_defects(population)
            tables.append(DayTables(hidden, day, population, ids, work, of_day))
        for first, counts in draw_counts(population, minutes, seed):
            for of_a_day in tables:
                of_a_day.append(first, counts)
        for of_a_day in tables:
            of_a_day.finish()
        if work.load_s is not None:
            write_loads(hidden, ids, work.load_s)
        return sorted(directory / file.name for file in hidden.iterdir())
