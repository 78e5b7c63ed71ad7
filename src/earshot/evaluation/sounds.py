"""The sound of windows, for what is done to it before a model hears it."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd

from earshot.batches import prepare
from earshot.datasets import manifest
from earshot.datasets.reading import ReadingOf


def of_windows(data: prepare.Data, table: pd.DataFrame, reading: ReadingOf) -> list[np.ndarray]:
    """Read the samples of each window, at the input's rate."""
    paths = manifest.paths(data.card.name)
    rate = data.input.sample_rate

    @functools.lru_cache(maxsize=2)  # windows come recording by recording
    def whole(recording: str) -> np.ndarray:
        return reading(recording).load(paths[recording], rate)

    return [
        whole(row.recording)[round(row.start * rate) : round((row.start + row.seconds) * rate)]
        for row in table.itertuples()
    ]
