"""What a page is about: runs, as rows of a table and opened."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from analysis.dataset import STUDY, Dataset, dataset_of, is_study, open_dataset, steady
from analysis.labels import brief_policies
from analysis.runs import open_runs
from sim.files.inputs import read_text
from sim.files.plaindata import read_yaml
from sim.records.results import Run, open_run

MOST_TOGETHER = 8  # ordinary runs that are drawn together, as by ``analyze plot``; of more, those at chosen factors


@dataclass(frozen=True)
class Source:
    """Runs that a page is about.

    dataset: their table. runs: by the column ``run``, without those of which there is no directory. study: the text of
    its file, if ``simulate sweep`` made them. paths: as the user named them. name: what the page is called.
    """

    dataset: Dataset
    runs: Mapping[str, Run]
    study: str | None
    paths: Sequence[Path]
    name: str

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The table, a mapping a run, and whether it is ``steady``."""
        frame = self.dataset.frame
        records = frame.assign(steady=steady(frame)).to_dict("records")
        return [{str(key): value for key, value in record.items()} for record in records]

    def varies(self, name: str) -> bool:
        """Whether the runs differ in it."""
        return bool(self.dataset.frame[name].nunique() > 1)

    @property
    def labels(self) -> dict[str, str]:
        """What policies are called, in their order."""
        return {policy: look.label for policy, look in self.dataset.report.looks.items()}

    @property
    def together(self) -> bool:
        """Whether each run is a line of its own, and all are drawn at once."""
        return self.study is None and len(self.runs) <= MOST_TOGETHER


def open_source(paths: Sequence[Path], *, verify: bool = True) -> Source:
    """Open a data set, or runs and folders of runs. verify: see ``analysis.runs.open_runs``.

    Raises RunError for what is neither or can't be read, ScenarioError for the ``report`` of a study.
    """
    if len(paths) == 1 and is_study(paths[0]):
        dataset = open_dataset(paths[0])
        names = [name for name in dataset.frame["run"] if (dataset.runs / name).is_dir()]
        runs = {name: open_run(dataset.runs / name, verify=verify) for name in names}
        file = paths[0] / STUDY
        name = read_yaml(file).get("name") or paths[0].resolve().name
        return Source(dataset, runs, read_text(file), paths, str(name))
    opened = open_runs(paths, verify=verify)
    folder = Path(os.path.commonpath([run.path.parent for run in opened]))
    by_name = {os.path.relpath(run.path, folder): run for run in opened}
    name = ", ".join(path.resolve().name for path in paths[:3]) + (", ..." if len(paths) > 3 else "")
    return Source(_briefly(dataset_of(opened, folder), opened), by_name, None, paths, name)


def _briefly(dataset: Dataset, runs: Sequence[Run]) -> Dataset:
    """With policies called by no more of their parameters than tell them apart."""
    labels = dict(zip((run.label for run in runs), brief_policies(runs), strict=True))
    if len(set(labels.values())) < len(labels):
        return dataset
    looks = {policy: replace(look, label=labels[policy]) for policy, look in dataset.report.looks.items()}
    return replace(dataset, report=replace(dataset.report, looks=looks))
