"""The windows that a model was surest of."""

from __future__ import annotations

import pandas as pd

from earshot.metrics import classification

PER_CLASS = 2
MOST = 8


def by_certainty(predictions: pd.DataFrame) -> pd.DataFrame:
    """Add the column probability, that of the predicted class, and put the surest window first."""
    columns = [classification.PROBABILITY + name for name in classification.classes_of(predictions)]
    found = predictions.assign(probability=predictions[columns].max(axis=1))
    return found.sort_values("probability", ascending=False, kind="stable")
