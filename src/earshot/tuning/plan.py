"""What a search tries, and by what it judges: the files of conf/sweep/."""

from __future__ import annotations

from typing import Annotated, Literal

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import BaseModel, Field, PositiveInt, model_validator

from earshot import project
from earshot.schema.sections import must, read_named

Number = Annotated[PositiveInt, must("a whole number, 1 or more")]
SPACE = "low and high, such as {low: 0.1, high: 0.5}, with log: true above 0, or choices, such as {choices: [16, 32]}"


class Range(BaseModel, extra="forbid"):
    """Numbers from `low` to `high`, both included: whole ones where both are whole; `log`: by their logarithm."""

    low: int | float
    high: int | float
    log: bool = False

    @model_validator(mode="after")
    def _in_order(self) -> Range:
        if self.low > self.high or (self.log and self.low <= 0):
            raise ValueError
        return self

    def holds(self, value: object) -> bool:
        """Tell whether a value is one of them."""
        return isinstance(value, int | float) and self.low <= value <= self.high

    def distribution(self) -> BaseDistribution:
        """Return it as Optuna knows it."""
        whole = isinstance(self.low, int) and isinstance(self.high, int)
        return (IntDistribution if whole else FloatDistribution)(self.low, self.high, log=self.log)


class Choices(BaseModel, extra="forbid"):
    """Some values; a list is written as text."""

    choices: Annotated[list[int | float | str], Field(min_length=1)]

    def holds(self, value: object) -> bool:
        """Tell whether a value is one of them."""
        return value in self.choices

    def distribution(self) -> BaseDistribution:
        """Return it as Optuna knows it."""
        return CategoricalDistribution(self.choices)


class Plan(BaseModel, extra="forbid"):
    """A file of conf/sweep/: what is tried, and by what it is judged."""

    trials: Number
    batch: Number
    startup: Number
    metric: Annotated[Literal["accuracy", "macro_f1", "loss"], must("one of accuracy, macro_f1, loss")]
    space: dict[str, Annotated[Range | Choices, must(SPACE)]]

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
    return read_named(project.root() / "conf" / "sweep" / f"{name}.yaml", Plan, "Plans", "trials: 30")
