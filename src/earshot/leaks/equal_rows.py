"""What can be told of a table of features without the sound: rows that hold the same numbers."""

from __future__ import annotations

from itertools import combinations

import pandas as pd

from earshot.leaks.duplicates import STRETCH


def find(recordings: pd.DataFrame, seconds: float) -> pd.DataFrame:
    """Return each pair of recordings whose features are the same numbers, as sound that occurs twice.

    Parameters
    ----------
    recordings : see `manifest.read`; `sha256` is that of the features
    seconds : length of the window that a row stands for

    Returns
    -------
    Columns `duplicates.STRETCH`, in the manifest's order
    """
    same = recordings.groupby("sha256", sort=False)["recording"]
    pairs = [pair for _, names in same for pair in combinations(names, 2)]
    rows = [(a, 0.0, b, 0.0, seconds, 1.0) for a, b in pairs]
    return pd.DataFrame(rows, columns=STRETCH)
