"""Calibration: probabilities that are as often right as they say, fitted on the validation part.

`temperature` divides the logits of all classes by one number, so that no decision changes (Guo et al. 2017, "On
Calibration of Modern Neural Networks"). `isotonic` maps the probability of each class by a rising step function, and
scales the classes to a sum of 1 (Zadrozny and Elkan 2002, "Transforming Classifier Scores into Accurate Multiclass
Probability Estimates").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from earshot.metrics import labels

METHODS = ("temperature", "isotonic")
CLIP = 1e-7  # as in `classification`: a probability of 0 has no logit
BOUNDS = (-1.0, 3.0)  # of the logarithm of a temperature: where validation is all right, 0 would be the best one
Calibration = Mapping[str, Any]  # as config.json holds it


def fit(method: str, probabilities: np.ndarray, true: np.ndarray, multi_label: bool = False) -> dict[str, Any]:
    """Fit a calibration.

    Parameters
    ----------
    method : of `METHODS`
    probabilities : (N, C)
    true : bool, (N, C), the classes that each window has: one, but for `multi_label`

    Returns
    -------
    `method`, and `temperature` or for each class the points of its `maps`, {x, y}
    """
    if method == METHODS[0]:
        return {"method": method, "temperature": _temperature(probabilities, true, multi_label)}
    from sklearn.isotonic import IsotonicRegression

    maps = []
    for p, there in zip(probabilities.T.astype(float), true.T, strict=True):
        fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(p, there)
        maps.append({"x": fitted.X_thresholds_.tolist(), "y": fitted.y_thresholds_.tolist()})
    return {"method": method, "maps": maps}


def _temperature(probabilities: np.ndarray, true: np.ndarray, multi_label: bool) -> float:
    from scipy.optimize import minimize_scalar  # not where a calibration is applied

    def loss(log: float) -> float:
        p = _tempered(probabilities.astype(float), float(np.exp(log)), multi_label).clip(CLIP, 1 - CLIP)
        return -float(np.where(true, np.log(p), np.log1p(-p) if multi_label else 0.0).mean())

    found = minimize_scalar(loss, bounds=BOUNDS, method="bounded", options={"xatol": 1e-6})
    return round(float(np.exp(found.x)), 6)


def applied(calibration: Calibration | None, probabilities: np.ndarray, multi_label: bool = False) -> np.ndarray:
    """Return calibrated probabilities, as they are where there is no calibration: (N, C), float32 as before."""
    if not calibration:
        return probabilities
    p = probabilities.astype(float)
    if calibration["method"] == METHODS[0]:
        found = _tempered(p, calibration["temperature"], multi_label)
    else:
        maps = calibration["maps"]
        found = np.column_stack([np.interp(p[:, n], each["x"], each["y"]) for n, each in enumerate(maps)])
        total = found.sum(axis=1, keepdims=True)
        if not multi_label:
            found = np.where(total > 0, found / np.where(total > 0, total, 1), p)
    result: np.ndarray = found.astype(probabilities.dtype)
    return result


def of_table(calibration: Calibration | None, frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table of predictions with calibrated p_CLASS, and of single labels with what is predicted then."""
    from earshot.metrics import classification  # scikit-learn takes a second, and predictions need none of it

    names = classification.classes_of(frame)
    columns = [classification.PROBABILITY + name for name in names]
    multi_label = labels.are_sets(frame["label"])
    found = applied(calibration, frame[columns].to_numpy(), multi_label)
    frame = frame.assign(**dict(zip(columns, found.T, strict=True)))
    if multi_label:
        return frame
    return frame.assign(predicted=np.array(names, dtype=object)[found.argmax(axis=1)])


def _tempered(p: np.ndarray, temperature: float, multi_label: bool) -> np.ndarray:
    """Return what the model would have given with its logits divided by a temperature."""
    log = np.log(np.maximum(p, CLIP)) / temperature
    other = np.log(np.maximum(1 - p, CLIP)) / temperature
    if multi_label:
        both: np.ndarray = 1 / (1 + np.exp(other - log))
        return both
    powers = np.exp(log - log.max(axis=1, keepdims=True))
    softened: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return softened
