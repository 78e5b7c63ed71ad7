"""Scores of predictions: a row per window with its label, the predicted class and `p_CLASS` per class."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

PROBABILITY = "p_"
CLIP = 1e-7  # a probability of 0 for the true class would make the loss infinite
Z_95 = 1.96


def classes_of(frame: pd.DataFrame) -> list[str]:
    """Return the classes a table of predictions has probabilities for, sorted."""
    return sorted(name.removeprefix(PROBABILITY) for name in frame.columns if name.startswith(PROBABILITY))


def scores(frame: pd.DataFrame, classes: list[str] | None = None) -> dict[str, Any]:
    """Score predictions.

    Parameters
    ----------
    frame
        Columns `label`, `predicted` and `p_CLASS` for each class; at least one row per tested window.
    classes
        The classes that macro-F1 averages over; those of the frame by default.

    Returns
    -------
    dict
        `accuracy`, `macro_f1`, `loss` (mean cross-entropy in nats) and `windows`. A class that is neither
        tested nor predicted has no F1 and is left out of the mean (`absent` names the classes not tested).
        A loss that is not a number (diverged training) is None.
    """
    classes = classes or classes_of(frame)
    label, predicted = frame["label"].to_numpy(dtype=str), frame["predicted"].to_numpy(dtype=str)
    macro_f1 = f1_score(label, predicted, labels=classes, average="macro", zero_division=np.nan)
    return {
        "accuracy": float(accuracy_score(label, predicted)),
        "macro_f1": float(macro_f1),
        "loss": cross_entropy(frame),
        "windows": len(frame),
    }


def cross_entropy(frame: pd.DataFrame) -> float | None:
    """Return the mean of -ln p(true class), p clipped at `CLIP`; None where a probability is not a number."""
    classes = classes_of(frame)
    probabilities = frame[[PROBABILITY + name for name in classes]].to_numpy(dtype=np.float64)
    column = pd.Index(classes).get_indexer(frame["label"])
    loss = -np.log(np.maximum(probabilities[np.arange(len(frame)), column], CLIP)).mean()
    return float(loss) if math.isfinite(loss) else None


def confusion(frame: pd.DataFrame, classes: list[str] | None = None) -> np.ndarray:
    """Count windows by true class (rows) and predicted class (columns), both in the order of `classes`."""
    classes = classes or classes_of(frame)
    label, predicted = frame["label"].to_numpy(dtype=str), frame["predicted"].to_numpy(dtype=str)
    return confusion_matrix(label, predicted, labels=classes)


def absent(frame: pd.DataFrame, classes: list[str] | None = None) -> list[str]:
    """Return the classes that no tested window belongs to: nothing is known of how well they are found."""
    return sorted(set(classes or classes_of(frame)) - set(frame["label"]))


def chance_margin(accuracy_a: float, windows_a: int, accuracy_b: float, windows_b: int) -> float:
    """Return the difference of two accuracies that chance alone stays below in 95 of 100 cases.

    A rough guide: it takes all windows as independent. That windows of one recording are alike widens the
    true margin, that two experiments were tested on the same windows narrows it.
    """
    tested = [(accuracy_a, windows_a), (accuracy_b, windows_b)]
    return Z_95 * math.sqrt(sum(_variance(accuracy, windows) for accuracy, windows in tested))


def _variance(accuracy: float, windows: int) -> float:
    """Return the variance with one hit and one miss added: never zero (Agresti and Caffo 2000)."""
    share = (accuracy * windows + 1) / (windows + 2)
    return share * (1 - share) / (windows + 2)
