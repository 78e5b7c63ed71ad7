"""What can be told of a table of features without the sound: rows that hold the same numbers."""

from __future__ import annotations

import pandas as pd

from earshot.leaks.duplicates import STRETCH
from earshot.leaks.exact import MAX_CANDIDATES


def find(recordings: pd.DataFrame, seconds: float) -> pd.DataFrame:
    """Return pairs of recordings whose features are the same numbers, as sound that occurs twice.

    Of many rows that are all the same, each is paired with the next `MAX_CANDIDATES`: that joins them, and all pairs
    would be their square.

    Parameters
    ----------
    recordings : see `manifest.read`; `sha256` is that of the features
    seconds : length of the window that a row stands for

    Returns
    -------
    Columns `duplicates.STRETCH`, in the manifest's order
    """
    same = [names.tolist() for _, names in recordings.groupby("sha256", sort=False)["recording"]]
    rows = [
        (a, 0.0, b, 0.0, seconds, 1.0)
        for names in same
        for number, a in enumerate(names, 1)
        for b in names[number : number + MAX_CANDIDATES]
    ]
    return pd.DataFrame(rows, columns=STRETCH)
