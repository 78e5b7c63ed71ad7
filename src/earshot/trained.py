"""The trained models of a dataset, and what they make of windows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from earshot import config, predict
from earshot.errors import EarshotError

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
    for folder in _folders(dataset, experiment):
        settings, weights = predict.read(folder)
        wired = "wiring" not in settings["model"] or settings["wiring"] == wiring
        if settings["protocol"] == "grouped" and wired and fold in (None, settings["fold"]):
            yield Model(settings, predict.restore(settings, weights))


def _folders(dataset: str, experiment: str) -> list[Path]:
    place = config.data("models", dataset, experiment)
    folders = sorted(path.parent for path in place.glob("*/config.json"))
    if not folders:
        raise EarshotError(f"{place} holds no trained model. Run `dvc repro`")
    return folders


def named(classes: list[str], probabilities: np.ndarray) -> dict[str, Any]:
    """Return the predicted class and the probability of each class as columns."""
    columns = {f"p_{name}": probabilities[:, number] for number, name in enumerate(classes)}
    return {"predicted": np.array(classes, dtype=object)[probabilities.argmax(axis=1)], **columns}
