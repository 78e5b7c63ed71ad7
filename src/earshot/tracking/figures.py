"""Figures that are logged with a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay

from earshot.metrics import classification

if TYPE_CHECKING:
    from earshot.tracking.logger import Epoch


def curves(epochs: list[Epoch]) -> Figure:
    """Draw loss and accuracy of training and validation over the epochs."""
    figure = Figure(figsize=(8, 3.2), layout="none")  # a computed one takes as long as drawing
    figure.subplots_adjust(left=0.08, right=0.98, bottom=0.15, top=0.95)
    for axes, score in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for part, label in (("train", "training"), ("val", "validation")):
            axes.plot([e["epoch"] for e in epochs], [e[f"{part}_{score}"] for e in epochs], label=label)
        axes.set(xlabel="epoch", ylabel=score)
        axes.legend()
    return figure


def confusion(frame: pd.DataFrame, part: str) -> Figure:
    """Draw the confusion matrix of predictions (see `predict.table`) of a part."""
    classes = classification.classes_of(frame)
    side, names = max(2.0, 0.45 * len(classes)), 0.55 + 0.085 * max(map(len, classes))  # inches
    width, height = names + side + 0.15, names + side + 0.35
    figure = Figure(figsize=(width, height), layout="none")
    figure.subplots_adjust(left=names / width, right=1 - 0.15 / width, bottom=names / height, top=1 - 0.35 / height)
    axes = figure.subplots()
    ConfusionMatrixDisplay(classification.confusion(frame, classes), display_labels=classes).plot(
        xticks_rotation="vertical", colorbar=False, ax=axes
    )
    axes.set_title(part)
    return figure


def reliability(frame: pd.DataFrame, part: str) -> Figure:
    """Draw the accuracy of a part's predictions over the probability of the predicted class."""
    bins = classification.reliability(frame)
    figure = Figure(figsize=(3.6, 3.4), layout="none")
    figure.subplots_adjust(left=0.17, right=0.97, bottom=0.14, top=0.92)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], ":", color="grey")
    axes.plot(bins["confidence"], bins["accuracy"], "o-")
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="probability of the predicted class", ylabel="accuracy", title=part)
    return figure
