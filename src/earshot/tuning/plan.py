"""What a search tries, and by what it judges: the files of conf/sweep/."""

from __future__ import annotations

from typing import Literal

import yaml
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import BaseModel, PositiveInt, ValidationError

from earshot import project
from earshot.errors import EarshotError


class Range(BaseModel, extra="forbid"):
    """Numbers from `low` to `high`, both included: whole ones where both are whole; `log`: by their logarithm."""

    low: int | float
    high: int | float
    log: bool = False

    def holds(self, value: object) -> bool:
        """Tell whether a value is one of them."""
        return isinstance(value, int | float) and self.low <= value <= self.high

    def distribution(self) -> BaseDistribution:
        """Return it as Optuna knows it."""
        whole = isinstance(self.low, int) and isinstance(self.high, int)
        return (IntDistribution if whole else FloatDistribution)(self.low, self.high, log=self.log)


class Choices(BaseModel, extra="forbid"):
    """Some values; a list is written as text."""

    choices: list[int | float | str]

    def holds(self, value: object) -> bool:
        """Tell whether a value is one of them."""
        return value in self.choices

    def distribution(self) -> BaseDistribution:
        """Return it as Optuna knows it."""
        return CategoricalDistribution(self.choices)


class Plan(BaseModel, extra="forbid"):
    """A file of conf/sweep/: what is tried, and by what it is judged."""

    trials: PositiveInt
    batch: PositiveInt
    startup: PositiveInt
    metric: Literal["accuracy", "macro_f1", "loss"]
    space: dict[str, Range | Choices]

    @property
    def direction(self) -> str:
        """Whether more is better."""
        return "minimize" if self.metric == "loss" else "maximize"

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return the space as Optuna knows it."""
        return {key: values.distribution() for key, values in self.space.items()}


def read_plan(name: str) -> Plan:
    """Read conf/sweep/NAME.yaml.

    Raises
    ------
    EarshotError
        If there is none, or it is not valid.
    """
    path = project.root() / "conf" / "sweep" / f"{name}.yaml"
    try:
        return Plan(**yaml.safe_load(path.read_text("utf-8")))
    except FileNotFoundError:
        known = ", ".join(sorted(other.stem for other in path.parent.glob("*.yaml")))
        raise EarshotError(f"{path} is missing. Plans there are: {known}") from None
    except (yaml.YAMLError, ValidationError, TypeError) as error:
        raise EarshotError(f"{path}: {error}") from None
