"""The models that the grouped protocol trained on a dataset."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from earshot import project
from earshot.trained import predict

RUN = ["seed", "fold"]


@dataclass(frozen=True)
class Model:
    """One trained run: what it was made of and the network, ready to predict."""

    settings: dict[str, Any]
    net: torch.nn.Module

    @property
    def run(self) -> dict[str, int]:
        """The seed and fold that tell it from others of its experiment."""
        return {name: self.settings[name] for name in RUN}


def models(dataset: str, experiment: str, wiring: str, fold: int | None = None) -> Iterator[Model]:
    """Yield the models that the grouped protocol trained for an experiment, of one fold or of all.

    A model without wirings counts for every one.

    Raises
    ------
    EarshotError
        If there is none.
    """
    for folder in predict.folders(project.data("models", dataset, experiment)):
        settings, weights = predict.read(folder)
        wired = "wiring" not in settings["model"] or settings["wiring"] == wiring
        if settings["protocol"] == "grouped" and wired and fold in (None, settings["fold"]):
            yield Model(settings, predict.restore(settings, weights))
