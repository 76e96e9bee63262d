"""The constants of the law that are of all models, fitted to points of some of them, and tried on others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np

from sim.models.mig.scaling import Law
from sim.studies.mig.points import Model
from sim.studies.mig.predict import Row, predicted

MOST_ERROR = 0.4  # points that are off by more count as much as this: some were measured or written down wrongly
START = Law(sharpness=4.0, memory_frac=0.5, batch_s=1e-3, input_s=1e-4, serial_frac=0.05)  # knows no model
STEPS = (1.0, 0.4, 0.15, 0.05, 0.02)  # relative


def fit_law(models: Sequence[Model]) -> Law:
    """The constants with the least mean error, over the points of all models that the law doesn't see.

    The mean over those with one process plus the mean over those with several. A pattern search (Hooke and Jeeves, JACM
    8(2), 1961) from START: each constant up and down by a step, and a smaller one when nothing gets better.
    """
    law, best = START, _loss(models, START)
    for step in STEPS:
        better = True
        while better:
            better = False
            for name, value in asdict(law).items():
                for factor in (1 + step, 1 / (1 + step)):
                    tried = replace(law, **{name: value * factor})
                    if (loss := _loss(models, tried)) < best:
                        law, best, better = tried, loss, True
                        break
    return law


def leave_one_out(models: Sequence[Model]) -> tuple[list[Row], list[Row]]:
    """Rows of each model with constants fitted to the others, and the constants, by the model that was left out."""
    laws = {model.name: fit_law([other for other in models if other is not model]) for model in models}
    rows = [row for model in models for row in predicted(model, laws[model.name])]
    constants = [{"left_out": name, **asdict(law)} for name, law in laws.items()]
    return rows, [*constants, {"left_out": "none", **asdict(fit_law(models))}]


def _loss(models: Sequence[Model], law: Law) -> float:
    unseen = [row for model in models for row in predicted(model, law) if not row["seen"]]
    by_kind: dict[bool, list[float]] = {}
    for row in unseen:
        by_kind.setdefault(row["processes"] == 1, []).append(min(abs(row["error_frac"]), MOST_ERROR))
    return sum(float(np.mean(off)) for off in by_kind.values())
