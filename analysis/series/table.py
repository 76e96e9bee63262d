"""The table of a figure, and the rows of a data set that it is made of."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analysis.dataset import Dataset
from analysis.measures import Measure
from analysis.study_report import Value
from sim.errors import RunError
from sim.records.backlog import is_steady
from sim.text import counted

if TYPE_CHECKING:
    import pandas as pd

MOST_PANELS = 12
_FACTORS = {"gpus": "GPUs", "policy": "Policy", "rate_scale": "Load (times that of the trace)"}
UNSTEADY = "not steady: work piled up, so it depends on how long the run lasts"


@dataclass(frozen=True)
class Series:
    """What a figure draws.

    table: exactly that, a row a point. Columns ``panel`` (text, empty where the figure has one) and ``policy``; the
    others are those of the figure. x, y, z: what the axes say. runs: of which it is made, by their names in the data
    set. notes: what a reader must know, a sentence each.
    """

    table: pd.DataFrame
    x: str
    y: str
    runs: tuple[str, ...]
    notes: tuple[str, ...] = ()
    z: str = ""


@dataclass(frozen=True)
class Chosen:
    """Rows of a data set for one figure: those of valid runs. panel: the factor that has a panel a value, if any."""

    dataset: Dataset
    rows: pd.DataFrame
    panel: str | None
    notes: tuple[str, ...]

    @property
    def runs(self) -> tuple[str, ...]:
        """Of which the figure is made."""
        return tuple(self.rows["run"])

    def groups(self, *more: str) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
        """The runs that differ in their seed alone, with ``panel``, ``policy`` and the factors ``more`` of each group.

        In the order of panels, policies and factors.
        """
        looks = self.dataset.report.looks
        keyed = self.rows.assign(panel=[self.title(value) for value in self._panel_values()])
        keyed["order"] = keyed["policy"].map({policy: look.order for policy, look in looks.items()})
        by = [*([self.panel] if self.panel else []), "order", *(name for name in more if name != "policy")]
        for _, group in keyed.groupby(by, sort=True):
            first = group.iloc[0]
            yield {name: first[name] for name in ("panel", "policy", *more)}, group

    def title(self, value: object) -> str:
        """What stands above the panel of a value."""
        return f"{factor_label(self.panel)}: {value}" if self.panel else ""

    def _panel_values(self) -> Sequence[Any]:
        return list(self.rows[self.panel]) if self.panel else [""] * len(self.rows)


def choose(dataset: Dataset, where: Mapping[str, Value], used: Collection[str] = (), *, panels: bool = True) -> Chosen:
    """The runs at ``where`` that count. used: factors which the figure shows itself, besides the policy.

    Of the others one may differ, and has a panel a value; none without ``panels``. Raises RunError when more differ, or
    nothing is left, and says what to choose.
    """
    rows = dataset.where(where)
    notes = _left_out(rows)
    rows = rows[rows["valid"]]
    if not len(rows):
        raise RunError(f"{dataset.path}: no valid run to draw{_at(where)}")
    differ = [name for name in dataset.factors if name not in used and rows[name].nunique() > 1]
    if len(differ) > panels:
        told = "; ".join(f"{name}: {', '.join(str(v) for v in sorted(rows[name].unique()))}" for name in differ)
        what = "at most one of which can have panels" if panels else "which this figure can't show"
        raise RunError(f"{dataset.path}: the runs{_at(where)} differ in {told}, {what}; choose with --where or where")
    panel = differ[0] if differ else None
    if panel and rows[panel].nunique() > MOST_PANELS:
        raise RunError(
            f"{dataset.path}: the runs{_at(where)} have {rows[panel].nunique()} values of {panel}, and a figure at "
            f"most {MOST_PANELS} panels; choose with --where or where"
        )
    return Chosen(dataset, rows, panel, notes)


def factor_label(name: str) -> str:
    """What an axis calls a factor."""
    return _FACTORS.get(name, name)


def metric_label(measure: Measure) -> str:
    """What an axis calls a metric."""
    label = measure.label[0].upper() + measure.label[1:] if measure.label[1:2].islower() else measure.label
    return f"{label} ({measure.unit})" if measure.unit else label


def n_unsteady(rows: pd.DataFrame) -> int:
    """How many of the runs say that work piled up."""
    return sum(not is_steady(warnings.split("; ")) for warnings in rows["warnings"])


def names(rows: pd.DataFrame) -> str:
    """The runs of a point, in one cell."""
    return " ".join(rows["run"])


def _left_out(rows: pd.DataFrame) -> tuple[str, ...]:
    bad = rows[~rows["valid"]]
    if not len(bad):
        return ()
    by_policy = ", ".join(f"{n} of {policy}" for policy, n in bad["policy"].value_counts(sort=False).items())
    return (f"Left out: {counted(len(bad), 'INVALID run')} of {len(rows)} ({by_policy}).",)


def _at(where: Mapping[str, Value]) -> str:
    return f" with {', '.join(f'{name}={value}' for name, value in where.items())}" if where else ""
