"""The windows with the highest confidence of a model."""

from __future__ import annotations

import pandas as pd

from earshot.metrics import classification


def surest(predictions: pd.DataFrame, most: int, per_class: int | None = None) -> pd.DataFrame:
    """Return the windows with the highest probability of the predicted class, from as many groups as possible.

    Parameters
    ----------
    predictions : columns label, group and p_CLASS for each class
    most : the maximum number of rows
    per_class : the maximum number of rows with the same label; by default there is none

    Returns
    -------
    Rows of `predictions` with the column probability, the highest first
    """
    ordered = _by_certainty(predictions)
    turn = ordered.groupby("group").cumcount()  # every group's surest window, then every group's second
    chosen = ordered.iloc[turn.to_numpy().argsort(kind="stable")]
    if per_class is not None:
        chosen = chosen.groupby("label").head(per_class)
    return _by_certainty(chosen.head(most))


def _by_certainty(predictions: pd.DataFrame) -> pd.DataFrame:
    columns = [classification.PROBABILITY + name for name in classification.classes_of(predictions)]
    found = predictions.assign(probability=predictions[columns].max(axis=1))
    return found.sort_values("probability", ascending=False, kind="stable")
