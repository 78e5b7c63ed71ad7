"""Figures that are logged with a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay

if TYPE_CHECKING:
    from earshot.module import Epoch


def curves(epochs: list[Epoch]) -> Figure:
    """Draw loss and accuracy of training and validation over the epochs."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    for axes, score in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for part, label in (("train", "training"), ("val", "validation")):
            axes.plot([e["epoch"] for e in epochs], [e[f"{part}_{score}"] for e in epochs], label=label)
        axes.set(xlabel="epoch", ylabel=score)
        axes.legend()
    return figure


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: list[str], part: str) -> Figure:
    """Draw the confusion matrix of class numbers (n,) and (n,)."""
    size = 2.5 + 0.45 * len(classes)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    ConfusionMatrixDisplay.from_predictions(
        labels,
        predicted,
        labels=range(len(classes)),
        display_labels=classes,
        xticks_rotation="vertical",
        colorbar=False,
        ax=axes,
    )
    axes.set_title(part)
    return figure
