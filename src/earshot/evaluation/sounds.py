"""The sound of windows, for what is done to it before a model hears it."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from earshot.audio.sounds import Sounds
from earshot.batches import prepare
from earshot.datasets import manifest
from earshot.datasets.reading import ReadingOf


@contextmanager
def of_windows(data: prepare.Data, table: pd.DataFrame, reading: ReadingOf) -> Iterator[Sounds]:
    """Yield the samples of each window, at the input's rate: float32; they wait on disk, however many there are."""
    paths = manifest.paths(data.card.name)
    rate = data.input.sample_rate

    @functools.lru_cache(maxsize=2)  # windows come recording by recording
    def whole(recording: str) -> np.ndarray:
        return reading(recording).load(paths[recording], rate)

    cut = (
        whole(row.recording)[round(row.start * rate) : round((row.start + row.seconds) * rate)]
        for row in table.itertuples()
    )
    with tempfile.TemporaryDirectory(prefix="earshot-") as folder:
        yield Sounds(Path(folder, "samples"), cut, np.float32)
