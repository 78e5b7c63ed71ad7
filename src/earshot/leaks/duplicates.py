"""Duplicate sound in a dataset: found by fingerprints in an index, and confirmed sample by sample."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.fft

from earshot.leaks import approximate, exact
from earshot.leaks.buckets import Buckets
from earshot.leaks.fingerprint import HOP_LENGTH, PATCH_SAMPLES, SAMPLE_RATE

STRETCH = ["recording_a", "start_a", "recording_b", "start_b", "seconds", "correlation"]
SAME = 0.3  # correlation after whitening: mp3 copies are above it, unlike sound below 0.2
SHORTEST = 0.9  # seconds: less is a drum machine's stroke, or one period of an electronic siren
JOINED = 0.1  # seconds: stretches of one pair whose offsets differ by less are one
EVERY = 256  # pairs that are compared at a time
EVERY_RECORDINGS = 10_000  # whose confirmed patches are joined at a time, above `exact_hours`
CONFIRMED = np.dtype([("a", "i8"), ("start_a", "f8"), ("b", "i8"), ("start_b", "f8"), ("correlation", "f4")])


def find(
    recordings: Sequence[str], samples: Sequence[np.ndarray], exact_hours: float = np.inf, nprobe: int = 16
) -> pd.DataFrame:
    """Find stretches of sound that occur twice, in two recordings or at two places of one.

    Parameters
    ----------
    recordings : names
    samples : of each, mono at `fingerprint.SAMPLE_RATE`: int16, shape (n,); they may be memory maps
    exact_hours : up to this much sound every patch is compared with all (`exact`), more by an index (`approximate`)
    nprobe : cells of that index that are searched for each patch

    Returns
    -------
    Columns `STRETCH`: the sound of recording a from `start_a` on is also in b from `start_b` on, for `seconds`;
    `correlation` is the highest in the stretch (1: the same samples). Each pair is listed once.
    """
    if sum(map(len, samples)) > exact_hours * 3600 * SAMPLE_RATE:
        return _approximately(recordings, samples, nprobe)
    candidates = exact.candidates(samples)
    if candidates is None:
        return pd.DataFrame(columns=STRETCH)
    return _stretches(_ordered(_confirmed(candidates, samples)), recordings)


def _approximately(recordings: Sequence[str], samples: Sequence[np.ndarray], nprobe: int) -> pd.DataFrame:
    """Find stretches by the approximate index; what is confirmed waits on disk until all of a recording is."""
    with tempfile.TemporaryDirectory(prefix="earshot-") as name:
        kept = Buckets(Path(name, "confirmed"), CONFIRMED)
        for candidates in approximate.candidates(samples, Path(name, "index"), nprobe):
            pairs = _ordered(_confirmed(candidates, samples))
            kept.put(pairs["a"].to_numpy() // EVERY_RECORDINGS, pairs.to_records(index=False).astype(CONFIRMED))
        found = [_stretches(pd.DataFrame(kept.take(number)), recordings) for number in kept.numbers()]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=STRETCH)


def _confirmed(pairs: pd.DataFrame, samples: Sequence[np.ndarray]) -> pd.DataFrame:
    """Keep the pairs whose samples agree; add `correlation` and the exact `start_a`, `start_b` in seconds."""
    found = [_correlate(block, samples) for block in _blocks(pairs)]
    correlation, lag = (np.concatenate(part) for part in zip(*found, strict=True)) if found else ([], [])
    pairs = pairs.assign(
        correlation=np.asarray(correlation, np.float32),
        start_a=pairs["frame_a"] * HOP_LENGTH / SAMPLE_RATE,
        start_b=(pairs["frame_b"] * HOP_LENGTH - np.asarray(lag, np.int64)) / SAMPLE_RATE,
    )
    return pairs[pairs["correlation"] >= SAME]


def _blocks(pairs: pd.DataFrame) -> Iterator[pd.DataFrame]:
    for first in range(0, len(pairs), EVERY):
        yield pairs.iloc[first : first + EVERY]


def _correlate(pairs: pd.DataFrame, samples: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the highest correlation of two patches after whitening, and the lag of b in samples.

    The phase transform (Knapp and Carter 1976): every frequency counts alike, so that two sirens of one pitch do
    not agree unless they are the same sound.
    """
    a = np.stack([_patch(samples[row.a], row.frame_a) for row in pairs.itertuples()])
    b = np.stack([_patch(samples[row.b], row.frame_b) for row in pairs.itertuples()])
    size = scipy.fft.next_fast_len(2 * PATCH_SAMPLES, real=True)
    with scipy.fft.set_workers(-1):  # one for each core: a pair is still transformed by one
        spectrum = scipy.fft.rfft(a, size) * scipy.fft.rfft(b, size).conj()
        spectrum /= np.maximum(np.abs(spectrum), np.finfo(np.float32).tiny)
        agreement = np.abs(scipy.fft.irfft(spectrum, size))
    best = agreement.argmax(axis=1)
    return agreement.max(axis=1), np.where(best > size // 2, best - size, best)


def _patch(samples: np.ndarray, frame: int) -> np.ndarray:
    return samples[frame * HOP_LENGTH : frame * HOP_LENGTH + PATCH_SAMPLES].astype(np.float32)


def _ordered(pairs: pd.DataFrame) -> pd.DataFrame:
    """Have the earlier recording and place first: columns of `CONFIRMED`."""
    swap = (pairs["a"] > pairs["b"]) | ((pairs["a"] == pairs["b"]) & (pairs["start_a"] > pairs["start_b"]))
    turned = pairs.rename(columns={"a": "b", "b": "a", "start_a": "start_b", "start_b": "start_a"})
    return pd.concat([pairs[~swap], turned[swap]])[["a", "start_a", "b", "start_b", "correlation"]]


def _stretches(pairs: pd.DataFrame, recordings: Sequence[str]) -> pd.DataFrame:
    """Join confirmed patches (see `_ordered`) that follow each other at one offset."""
    pairs = pairs.assign(offset=((pairs["start_b"] - pairs["start_a"]) / JOINED).round())
    pairs = pairs.sort_values(["a", "b", "offset", "start_a"], ignore_index=True)
    length = PATCH_SAMPLES / SAMPLE_RATE
    follows = (pairs[["a", "b", "offset"]] == pairs[["a", "b", "offset"]].shift()).all(axis=1) & (
        pairs["start_a"].diff() <= 2 * length
    )
    joined = pairs.groupby((~follows).cumsum()).agg(
        a=("a", "first"),
        b=("b", "first"),
        start_a=("start_a", "first"),
        start_b=("start_b", "first"),
        last=("start_a", "last"),
        correlation=("correlation", "max"),
    )
    names = pd.Series(recordings, dtype=object)
    found = joined.assign(
        recording_a=joined["a"].map(names),
        recording_b=joined["b"].map(names),
        seconds=joined["last"] - joined["start_a"] + length,
    )
    found = found[found["seconds"] >= SHORTEST]
    return found[STRETCH].astype({"correlation": float}).round(3).reset_index(drop=True)
