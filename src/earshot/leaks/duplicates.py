"""Duplicate sound in a dataset: found by fingerprints in an index, and confirmed sample by sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.fft

from earshot.leaks import fingerprint
from earshot.leaks.fingerprint import HOP_LENGTH, PATCH_FRAMES, PATCH_SAMPLES, SAMPLE_RATE

STRETCH = ["recording_a", "start_a", "recording_b", "start_b", "seconds", "correlation"]
INDEX_STRIDE = 1  # frames between indexed patches: 32 ms; 32 ms beside its place a copy is no longer similar
QUERY_STRIDE = 15  # frames between patches that are looked up: 0.48 s
LEARNED_FROM = 8000  # patches, about, that the whitening is fitted to
LEARNED_STRIDE = 3  # frames between them, at least: nearer ones hardly differ
SIMILAR = 0.7  # a copy is mostly above 0.85, unlike sound hardly ever above 0.6
SAME = 0.3  # correlation after whitening: mp3 copies are above it, unlike sound below 0.2
MAX_CANDIDATES = 12  # for each patch that is looked up: sound that repeats forever needs no more
SHORTEST = 0.9  # seconds: less is a drum machine's stroke, or one period of an electronic siren
JOINED = 0.1  # seconds: stretches of one pair whose offsets differ by less are one
EVERY = 256  # pairs that are compared at a time


@dataclass(frozen=True)
class Places:
    """Recording and frame of each patch: int, shape (n,) both."""

    recording: np.ndarray
    frame: np.ndarray


def find(recordings: list[str], samples: list[np.ndarray]) -> pd.DataFrame:
    """Find stretches of sound that occur twice, in two recordings or at two places of one.

    Parameters
    ----------
    recordings : names
    samples : of each, mono at `fingerprint.SAMPLE_RATE`: int16, shape (n,); they may be memory maps

    Returns
    -------
    Columns `STRETCH`: the sound of recording a from `start_a` on is also in b from `start_b` on, for `seconds`;
    `correlation` is the highest in the stretch (1: the same samples). Each pair is listed once.
    """
    frames = [fingerprint.log_mel(x) for x in samples]
    whitening = _whitening(frames)
    if whitening is None:
        return pd.DataFrame(columns=STRETCH)
    candidates = _candidates(frames, whitening)
    return _stretches(_confirmed(candidates, samples), recordings)


def _whitening(frames: list[np.ndarray]) -> fingerprint.Whitening | None:
    stride = max(LEARNED_STRIDE, sum(map(len, frames)) // LEARNED_FROM)
    found = [fingerprint.patches(x, fingerprint.starts(len(x), stride))[0] for x in frames]
    sample = np.concatenate(found) if found else np.empty((0, 0))
    return fingerprint.Whitening(sample) if len(sample) > 1 else None


def _patches(frames: list[np.ndarray], stride: int, whitening: fingerprint.Whitening, take: Callable) -> Places:
    """Pass the vectors of all patches `stride` frames apart to `take`, block by block; return their places."""
    places = []
    for number, x in enumerate(frames):
        first = fingerprint.starts(len(x), stride)
        for block in np.array_split(first, len(first) // fingerprint.BLOCK + 1):
            found, kept = fingerprint.patches(x, block)
            take(whitening(found))
            places.append(np.stack([np.full(len(kept), number), kept]))
    return Places(*np.concatenate(places, axis=1))


def _candidates(frames: list[np.ndarray], whitening: fingerprint.Whitening) -> pd.DataFrame:
    """Look up patches; return similar pairs at different places: recording and frame of both."""
    import faiss

    index = faiss.IndexFlatIP(whitening.projection.shape[1])
    indexed = _patches(frames, INDEX_STRIDE, whitening, index.add)
    vectors: list[np.ndarray] = []
    queries = _patches(frames, QUERY_STRIDE, whitening, vectors.append)
    looked_up = np.concatenate(vectors)
    found = []
    for first in range(0, len(looked_up), fingerprint.BLOCK):
        limits, similarity, position = index.range_search(looked_up[first : first + fingerprint.BLOCK], SIMILAR)
        query = first + np.repeat(np.arange(len(limits) - 1), np.diff(limits.astype(np.int64)))
        pairs = pd.DataFrame(
            {
                "query": query,
                "similarity": similarity,
                "a": queries.recording[query],
                "frame_a": queries.frame[query],
                "b": indexed.recording[position],
                "frame_b": indexed.frame[position],
            }
        )
        elsewhere = (pairs["a"] != pairs["b"]) | ((pairs["frame_a"] - pairs["frame_b"]).abs() >= PATCH_FRAMES)
        ordered = pairs[elsewhere].sort_values(
            ["query", "similarity", "b", "frame_b"], ascending=[True, False, True, True]
        )
        found.append(ordered.groupby("query").head(MAX_CANDIDATES))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=["a", "frame_a", "b", "frame_b"])


def _confirmed(pairs: pd.DataFrame, samples: list[np.ndarray]) -> pd.DataFrame:
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


def _correlate(pairs: pd.DataFrame, samples: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
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


def _stretches(pairs: pd.DataFrame, recordings: list[str]) -> pd.DataFrame:
    """Join confirmed patches that follow each other at one offset; have the earlier recording and place first."""
    swap = (pairs["a"] > pairs["b"]) | ((pairs["a"] == pairs["b"]) & (pairs["start_a"] > pairs["start_b"]))
    turned = pairs.rename(columns={"a": "b", "b": "a", "start_a": "start_b", "start_b": "start_a"})
    pairs = pd.concat([pairs[~swap], turned[swap]])[["a", "start_a", "b", "start_b", "correlation"]]
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
