"""Scores of predictions: a row per window with its label, the predicted class and `p_CLASS` per class."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

PROBABILITY = "p_"
CLIP = 1e-7  # a probability of 0 for the true class would make the loss infinite
BINS = 15


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
        `accuracy`, `macro_f1`, `loss` (mean cross-entropy in nats), `calibration_error` and `windows`. A class
        that is neither tested nor predicted has no F1 and is left out of the mean (`untested_classes` names
        those not tested).
        A loss or an error that is not a number (diverged training) is None.
    """
    classes = classes or classes_of(frame)
    label, predicted = frame["label"].to_numpy(dtype=str), frame["predicted"].to_numpy(dtype=str)
    macro_f1 = f1_score(label, predicted, labels=classes, average="macro", zero_division=np.nan)
    return {
        "accuracy": float(accuracy_score(label, predicted)),
        "macro_f1": float(macro_f1),
        "loss": cross_entropy(frame),
        "calibration_error": calibration_error(frame),
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


def untested_classes(frame: pd.DataFrame, classes: list[str] | None = None) -> list[str]:
    """Return the classes that no tested window belongs to: their recall is unknown."""
    return sorted(set(classes or classes_of(frame)) - set(frame["label"]))


def reliability(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the accuracy by confidence (the highest probability), in `BINS` bins of equal width.

    Returns
    -------
    Columns confidence (mean highest probability), accuracy and windows; a row for each bin that is not empty
    """
    right, confidence = _decisions(frame)
    if len(right) == 0:
        return pd.DataFrame(columns=["confidence", "accuracy", "windows"])
    accuracy, mean = calibration_curve(right, confidence, n_bins=BINS)
    counts, _ = np.histogram(confidence, BINS, (0, 1))
    return pd.DataFrame({"confidence": mean, "accuracy": accuracy, "windows": counts[counts > 0]})


def calibration_error(frame: pd.DataFrame) -> float | None:
    """Return the expected calibration error (Guo et al. 2017): the mean distance of `reliability` from the diagonal."""
    bins = reliability(frame)
    if bins["windows"].sum() < len(frame):  # a probability is not a number
        return None
    return float(np.average((bins["accuracy"] - bins["confidence"]).abs(), weights=bins["windows"]))


def _decisions(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return whether each prediction is right, and its probability."""
    columns = [PROBABILITY + name for name in classes_of(frame)]
    confidence = frame[columns].to_numpy(np.float64).max(axis=1).clip(0, 1)
    known = np.isfinite(confidence)
    return (frame["label"] == frame["predicted"]).to_numpy()[known], confidence[known]


def by_class(frame: pd.DataFrame) -> pd.DataFrame:
    """Return class, precision, recall, f1 and windows; NaN where a score is undefined."""
    classes = classes_of(frame)
    label, predicted = frame["label"].to_numpy(dtype=str), frame["predicted"].to_numpy(dtype=str)
    found = precision_recall_fscore_support(label, predicted, labels=classes, zero_division=np.nan)
    return pd.DataFrame(dict(zip(("precision", "recall", "f1", "windows"), found, strict=True))).assign(
        **{"class": classes}
    )
