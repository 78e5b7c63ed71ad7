"""Experiments: an input and a model that is trained on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omegaconf import DictConfig


@dataclass(frozen=True)
class Experiment:
    """An input and a model that is trained on it, by their names in conf/; together they are called INPUT-MODEL."""

    input: str
    model: str

    @property
    def name(self) -> str:
        """INPUT-MODEL, which folders and files of data/ are called by."""
        return f"{self.input}-{self.model}"

    @property
    def overrides(self) -> list[str]:
        """The arguments of `compose` that select it."""
        return [override("input", self.input), f"model={self.model}"]

    @classmethod
    def parse(cls, name: str) -> Experiment:
        """Return the experiment called `name`, INPUT-MODEL."""
        input_name, _, model = name.partition("-")
        return cls(input_name, model)

    @classmethod
    def of(cls, cfg: DictConfig) -> Experiment:
        """Return the experiment of a run's config."""
        return cls(cfg.input, cfg.model.name)


def experiments_of(params: Mapping[str, Any]) -> list[Experiment]:
    """Return the experiments that params.yaml compares, in its order."""
    return [
        Experiment(input_name, model)
        for crossed in params["experiments"].values()
        for input_name in crossed["inputs"]
        for model in crossed["models"]
    ]


def override(key: str, value: str) -> str:
    """Return an argument of `compose` that sets a text, whatever it looks like: 2024 is no number, null no nothing."""
    return f"{key}='{value}'"
