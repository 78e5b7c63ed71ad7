"""The scan of a dataset's recordings: what they share with each other, and how they were recorded."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soxr

from earshot import files, project
from earshot.audio import decode
from earshot.audio.sounds import Sounds
from earshot.cluster import pools
from earshot.cluster.each import each
from earshot.datasets import place
from earshot.datasets.card import Card
from earshot.datasets.place import Known
from earshot.datasets.reading import PLAIN, Reading, ReadingOf
from earshot.leaks import conditions, duplicates, equal_rows
from earshot.leaks.fingerprint import FULL_SCALE, SAMPLE_RATE

Described = tuple[np.ndarray, pd.DataFrame]
TOGETHER = 2**26  # samples of the recordings that processes decode side by side: 256 MB


def describe(
    name: str, path: Path, known: Known, out: Path, reading: Reading, window: dict[str, float]
) -> pd.DataFrame:
    """Write a recording's samples (int16 at the fingerprint's rate) to `out`; return the conditions of its windows.

    What pads a window is no sound that could occur twice.
    """
    place.check_one(path, known)
    samples, sample_rate = decode.read(path)
    mono = decode.mono(samples, reading.channel)
    described = conditions.describe(reading.padded(mono, sample_rate), sample_rate, **window)
    described.insert(0, "recording", name)
    narrow = soxr.resample(mono, sample_rate, SAMPLE_RATE)
    narrow /= max(1.0, np.abs(mono).max())  # what goes above full scale is turned down, or it would be clipped
    narrow = np.rint(narrow * (FULL_SCALE - 1)).clip(-FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    with files.replacing(out, synced=False) as temporary, temporary.open("wb") as file:
        np.save(file, narrow, allow_pickle=False)
    return described


def _pool(recordings: pd.DataFrame, workers: int) -> Executor:
    """Return the processes that describe recordings; one thread for a few, or for some that fill the memory."""
    longest = (recordings["seconds"] * recordings["sample_rate"] * recordings["channels"]).max()
    at_once = min(workers, int(TOGETHER // longest)) if len(recordings) > pools.FEW else 1
    return pools.spread(at_once, __name__) if at_once > 1 else pools.one_by_one(__name__)


def _described(
    card: Card, recordings: pd.DataFrame, window: dict[str, float], reading: ReadingOf, folder: Path, workers: int
) -> Iterator[Described]:
    """Yield each recording's samples, which pass through a file in `folder`, and the conditions of its windows."""
    place.bring(card, recordings["path"])
    raw, names = place.folder(card), recordings["recording"].tolist()
    outs = [folder / f"{number}.npy" for number in range(len(names))]
    whole = zip(names, recordings["path"], place.known(card, recordings["sha256"]), outs, strict=True)
    todo = [(name, raw / path, known, out, reading(path), window) for name, path, known, out in whole]
    with _pool(recordings, workers) as pool:
        found = each(pool, describe, todo, f"fingerprint {card.label}", "file", names)
        for out, described in zip(outs, found, strict=True):
            samples = np.load(out, allow_pickle=False)
            out.unlink()
            yield samples, described


def _scratch() -> tempfile.TemporaryDirectory:
    """Return a folder for some time, which a cluster's workers share."""
    shared = project.cache("fingerprint") if pools.scheduler() else None
    if shared:
        shared.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix="earshot-", dir=shared)


def scan(
    card: Card,
    recordings: pd.DataFrame,
    window: dict[str, float],
    search: Mapping[str, Any],
    take: Callable[[pd.DataFrame], None],
    reading: ReadingOf = lambda _: PLAIN,
    workers: int = 1,
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
    workers : processes, at most; where recordings are long there are fewer
    """
    if not card.has_sound:
        take(pd.DataFrame(columns=["recording", "start"]))
        return equal_rows.find(recordings, window["length"])

    def narrow(folder: Path) -> Iterator[np.ndarray]:
        for samples, rows in _described(card, recordings, window, reading, folder, workers):
            take(rows)
            yield samples

    with _scratch() as scratch:
        folder = Path(scratch)
        return duplicates.find(recordings["recording"].tolist(), Sounds(folder / "samples", narrow(folder)), **search)
