"""Windows: the excerpts of a recording that a model sees, all on one grid."""

from __future__ import annotations

import math

import numpy as np

GRID = 1e-6  # seconds; times closer than this are equal, so that 0.1 * 3 starts where 0.3 does


def starts(start: float, stop: float, length: float, hop: float) -> np.ndarray:
    """Return the start times of the windows inside [start, stop).

    Windows begin at multiples of `hop` from the beginning of the recording, so that a window of one protocol is
    the same window in another.

    Parameters
    ----------
    start, stop : seconds from the recording's beginning; no window reaches outside
    length, hop : seconds

    Returns
    -------
    float64, shape (n,), seconds; empty where nothing fits
    """
    first = math.ceil((start - GRID) / hop)
    last = math.floor((stop - length + GRID) / hop)
    return np.arange(first, last + 1) * hop
