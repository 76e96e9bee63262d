"""Small studies, and what of their results doesn't depend on the machine."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import yaml

from traces.synth.azure2019 import write_azure2019

OF_THE_MACHINE = ["wall_s", "invocations_per_wall_s", "peak_rss_bytes"]

# On two GPUs it raises an error amid a run, or kills its process, the first time. It counts the runs that it begins.
POLICY = """
import os
from dataclasses import dataclass
from pathlib import Path
from sim.policies.balance import Balance

FILE = Path(__file__)

@dataclass
class Fragile(Balance):
    name = "fragile"
    kill: int = 0

    def reset(self, fleet, *others):
        super().reset(fleet, *others)
        self._n_gpus, self._n_events = fleet.n_gpus, 0

    def on_event(self, now_s, event, view):
        self._n_events += 1
        if self._n_events == 1:
            with FILE.with_suffix(".begun").open("a") as file:
                file.write("x")
        if self._n_gpus == 2 and self._n_events == 50:
            if not self.kill:
                raise ZeroDivisionError("by nothing")
            if not (killed := FILE.with_suffix(".killed")).exists():
                killed.touch()
                os.kill(os.getpid(), 9)
        return super().on_event(now_s, event, view)
"""


def write_study(place: Path, *, rate_per_s: float = 4.0, minutes: int = 2, **changes: object) -> Path:
    """A study of 2 policies x 2 fleets x 2 seeds and its trace; changes are of keys of the study."""
    write_azure2019(place / "trace", n_functions=10, minutes=minutes, rate_per_s=rate_per_s, seed=1)
    study = {
        "name": "small",
        "scenario": {"traces": ["trace"]},
        "factors": {"policy": ["affinity", "balance"], "gpus": [1, 2]},
        "seeds": 2,
    }
    file = place / "study.yaml"
    file.write_text(yaml.safe_dump(study | changes, sort_keys=False))
    return file


def read_results(out: Path) -> pd.DataFrame:
    """The results of a sweep, without what depends on the machine."""
    return pd.read_parquet(out / "results.parquet").drop(columns=OF_THE_MACHINE, errors="ignore")
