"""The scan of a dataset's recordings: what they share with each other, and how they were recorded."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soxr
from tqdm import tqdm

from earshot.audio import decode
from earshot.datasets import place
from earshot.datasets.card import Card
from earshot.datasets.reading import PLAIN, ReadingOf
from earshot.leaks import conditions, duplicates, equal_rows
from earshot.leaks.fingerprint import FULL_SCALE, SAMPLE_RATE
from earshot.leaks.sounds import Sounds

Described = tuple[np.ndarray, pd.DataFrame]


def _described(
    card: Card, recordings: pd.DataFrame, window: dict[str, float], reading: ReadingOf
) -> Iterator[Described]:
    """Yield for each recording its samples (int16 at the fingerprint's rate) and the conditions of its windows.

    What pads a window is no sound that could occur twice.
    """
    place.verify(card, recordings["path"])
    raw = place.folder(card)
    for row in tqdm(recordings.itertuples(), total=len(recordings), desc=f"fingerprint {card.label}", disable=None):
        samples, sample_rate = decode.read(raw / row.path)
        mono = decode.mono(samples, reading(row.path).channel)
        described = conditions.describe(reading(row.path).padded(mono, sample_rate), sample_rate, **window)
        described.insert(0, "recording", row.recording)
        narrow = soxr.resample(mono, sample_rate, SAMPLE_RATE)
        narrow /= max(1.0, np.abs(mono).max())  # what goes above full scale is turned down, or it would be clipped
        yield np.rint(narrow * (FULL_SCALE - 1)).clip(-FULL_SCALE, FULL_SCALE - 1).astype(np.int16), described


def scan(
    card: Card,
    recordings: pd.DataFrame,
    window: dict[str, float],
    search: Mapping[str, Any],
    take: Callable[[pd.DataFrame], None],
    reading: ReadingOf = lambda _: PLAIN,
) -> pd.DataFrame:
    """Return the stretches that sound twice in a dataset (see `duplicates.find`).

    Without sound these are the rows of features that are alike. The samples wait on disk meanwhile, so that memory
    doesn't grow with the recordings.

    Parameters
    ----------
    card, recordings : of the dataset (see `manifest.read`)
    window : length and hop
    search : `exact_hours` and `nprobe`, see `duplicates.find`
    take : is given the conditions of each recording's windows
    reading : how each file is read
    """
    if not card.has_sound:
        take(pd.DataFrame(columns=["recording", "start"]))
        return equal_rows.find(recordings, window["length"])

    def narrow() -> Iterator[np.ndarray]:
        for samples, rows in _described(card, recordings, window, reading):
            take(rows)
            yield samples

    with tempfile.TemporaryDirectory(prefix="earshot-") as folder:
        return duplicates.find(recordings["recording"].tolist(), Sounds(Path(folder, "samples"), narrow()), **search)
