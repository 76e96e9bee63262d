"""What runs cost: prices of a user's own, since they change and differ, applied to the hours of GPUs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sim.errors import ScenarioError
from sim.files.plaindata import read_yaml
from sim.schema import build
from sim.settings import require, unknown
from sim.text import shown


@dataclass(frozen=True, slots=True)
class Prices:
    """gpu_hour: the price of an hour, by the name of a GPU. currency: what it is in."""

    gpu_hour: dict[str, float]
    currency: str = ""

    def __post_init__(self) -> None:
        require(bool(self.gpu_hour), "gpu_hour", self.gpu_hour, "a price for each name of a GPU")
        for name, price in self.gpu_hour.items():
            require(0 <= price < float("inf"), f"gpu_hour: {name}", price, "a finite number, at least 0")

    def cost(self, gpu_hours_of: Mapping[str, float]) -> float:
        """The price of hours by the name of a GPU, as a summary has them. Raises ScenarioError for one without."""
        for name in gpu_hours_of:
            if name not in self.gpu_hour:
                raise ScenarioError(f"prices: {unknown('GPU', name, self.gpu_hour)}")
        return sum(self.gpu_hour[name] * hours for name, hours in gpu_hours_of.items())


def read_prices(file: Path) -> Prices:
    """Read a file of prices, in YAML. Raises ScenarioError naming the key and the rule."""
    data = read_yaml(file)
    if not isinstance(data, dict):
        raise ScenarioError(f"{file}: is {shown(data)}, must be a mapping of keys to values")
    return build(Prices, data, str(file))
