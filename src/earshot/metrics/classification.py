"""Scores of predictions: a row per window with its label, the predicted class and `p_CLASS` per class.

In a multi-label dataset `label` and `predicted` are sets of classes (see `metrics.labels`), and `p_CLASS` are the
probabilities that a window has each of them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
)

from earshot.metrics import labels

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

        Of a multi-label dataset also `macro_ap` and `micro_ap`, the average precision as the mean over the classes
        that are tested and over all pairs of a window and a class. There a prediction is right (`accuracy`) if it is
        the whole set, and `loss` is the binary cross-entropy, averaged over windows and classes.
    """
    classes = classes or classes_of(frame)
    label, predicted = frame["label"].to_numpy(dtype=str), frame["predicted"].to_numpy(dtype=str)
    if labels.are_sets(label):
        true, found = labels.multi_hot(label, classes), labels.multi_hot(predicted, classes)
        macro_f1 = f1_score(true, found, average="macro", zero_division=np.nan)
    else:
        macro_f1 = f1_score(label, predicted, labels=classes, average="macro", zero_division=np.nan)
    return {
        "accuracy": float(accuracy_score(label, predicted)),
        "macro_f1": float(macro_f1),
        "loss": cross_entropy(frame),
        "calibration_error": calibration_error(frame),
        "windows": len(frame),
        **average_precision(frame),
    }


def average_precision(frame: pd.DataFrame) -> dict[str, float | None]:
    """Return `macro_ap` and `micro_ap` of a multi-label dataset's predictions, and nothing of others.

    They are None where no class is tested, or a probability is not a number.
    """
    if not labels.are_sets(frame["label"]):
        return {}
    classes = classes_of(frame)
    true, p = labels.multi_hot(frame["label"], classes), probabilities_of(frame)
    tested = true.any(axis=0)
    if not tested.any() or not np.isfinite(p).all():
        return {"macro_ap": None, "micro_ap": None}
    macro, micro = (average_precision_score(true[:, tested], p[:, tested], average=how) for how in ("macro", "micro"))
    return {"macro_ap": float(macro), "micro_ap": float(micro)}


def probabilities_of(frame: pd.DataFrame) -> np.ndarray:
    """Return the probabilities of a table: float64, (windows, classes)."""
    return frame[[PROBABILITY + name for name in classes_of(frame)]].to_numpy(dtype=np.float64)


def cross_entropy(frame: pd.DataFrame) -> float | None:
    """Return the mean of -ln p(true class), p clipped at `CLIP`; None where a probability is not a number.

    Of a multi-label dataset the mean binary cross-entropy over all pairs of a window and a class.
    """
    classes, probabilities = classes_of(frame), probabilities_of(frame)
    if labels.are_sets(frame["label"]):
        if not np.isfinite(probabilities).all():
            return None
        true = labels.multi_hot(frame["label"], classes)
        return float(log_loss(true.ravel(), probabilities.clip(CLIP, 1 - CLIP).ravel(), labels=[False, True]))
    column = pd.Index(classes).get_indexer(frame["label"])
    loss = -np.log(np.maximum(probabilities[np.arange(len(frame)), column], CLIP)).mean()
    return float(loss) if math.isfinite(loss) else None


def confusion(frame: pd.DataFrame, classes: list[str] | None = None) -> np.ndarray:
    """Count windows by true class (rows) and predicted class (columns), both in the order of `classes`.

    Not of multi-label predictions: where a class is missed, none of the others was taken for it.
    """
    classes = classes or classes_of(frame)
    label, predicted = frame["label"].to_numpy(dtype=str), frame["predicted"].to_numpy(dtype=str)
    return confusion_matrix(label, predicted, labels=classes)


def untested_classes(frame: pd.DataFrame, classes: list[str] | None = None) -> list[str]:
    """Return the classes that no tested window belongs to: their recall is unknown."""
    return sorted(set(classes or classes_of(frame)) - set(labels.classes_of(frame["label"])))


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
    if not np.isfinite(probabilities_of(frame)).all():
        return None
    return float(np.average((bins["accuracy"] - bins["confidence"]).abs(), weights=bins["windows"]))


def _decisions(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return whether each prediction is right, and its probability; of a multi-label dataset for each class."""
    if labels.are_sets(frame["label"]):
        true, p = labels.multi_hot(frame["label"], classes_of(frame)).ravel(), probabilities_of(frame).ravel()
        return true[np.isfinite(p)], p[np.isfinite(p)]
    confidence = probabilities_of(frame).max(axis=1).clip(0, 1)
    known = np.isfinite(confidence)
    return (frame["label"] == frame["predicted"]).to_numpy()[known], confidence[known]


def by_class(frame: pd.DataFrame) -> pd.DataFrame:
    """Return class, precision, recall, f1 and windows; NaN where a score is undefined.

    Of a multi-label dataset also `ap`, the average precision.
    """
    classes = classes_of(frame)
    names = ("precision", "recall", "f1", "windows")
    if not labels.are_sets(frame["label"]):
        label, predicted = frame["label"].to_numpy(dtype=str), frame["predicted"].to_numpy(dtype=str)
        found = precision_recall_fscore_support(label, predicted, labels=classes, zero_division=np.nan)
        return pd.DataFrame(dict(zip(names, found, strict=True))).assign(**{"class": classes})
    true, p = labels.multi_hot(frame["label"], classes), probabilities_of(frame)
    found = precision_recall_fscore_support(true, labels.multi_hot(frame["predicted"], classes), zero_division=np.nan)
    known = true.any(axis=0) & np.isfinite(p).all(axis=0)
    ap = [average_precision_score(true[:, n], p[:, n]) if known[n] else np.nan for n in range(len(classes))]
    return pd.DataFrame(dict(zip(names, found, strict=True))).assign(ap=ap, **{"class": classes})
