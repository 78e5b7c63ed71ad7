"""The score from which on a class is taken as there."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import precision_recall_curve


def best_threshold(labels: np.ndarray, scores: np.ndarray) -> float:
    """Return the threshold with the highest F1; scores at or above it are alarms.

    Parameters
    ----------
    labels : bool, shape (n,), True for the class to be detected
    scores : shape (n,)
    """
    precision, recall, thresholds = precision_recall_curve(labels, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, np.finfo(float).tiny)
    return float(thresholds[f1[:-1].argmax()])


def threshold_within(labels: np.ndarray, scores: np.ndarray, most: float) -> float:
    """Return the lowest threshold with no more than `most` false alarms; scores at or above it are alarms.

    Parameters
    ----------
    labels, scores : see `best_threshold`
    most : of the other windows, each counted by itself
    """
    others = np.sort(scores[~labels])[::-1]
    first_too_many = others[int(most)] if most < len(others) else -np.inf
    return float(np.nextafter(first_too_many, np.inf))
