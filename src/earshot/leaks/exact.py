"""Candidates for duplicate sound, exactly: every patch that is looked up is compared with all patches.

Memory grows with the sound (some 12 kB a second), and time with its square.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from earshot.leaks import fingerprint
from earshot.leaks.fingerprint import PATCH_FRAMES

PAIR = ["a", "frame_a", "b", "frame_b"]  # numbers of two recordings, and the first frames of two patches
INDEX_STRIDE = 1  # frames between indexed patches: 32 ms; 32 ms beside its place a copy is no longer similar
QUERY_STRIDE = 15  # frames between patches that are looked up: 0.48 s
LEARNED_FROM = 8000  # patches, about, that the whitening is fitted to
LEARNED_STRIDE = 3  # frames between them, at least: nearer ones hardly differ
SIMILAR = 0.7  # a copy is mostly above 0.85, unlike sound hardly ever above 0.6
MAX_CANDIDATES = 12  # for each patch that is looked up: sound that repeats forever needs no more


@dataclass(frozen=True)
class Places:
    """Recording and frame of each patch: int, shape (n,) both."""

    recording: np.ndarray
    frame: np.ndarray


def candidates(samples: Sequence[np.ndarray]) -> pd.DataFrame | None:
    """Return similar patches at different places: columns `PAIR`, at most `MAX_CANDIDATES` for each looked up.

    Parameters
    ----------
    samples : see `duplicates.find`

    Returns
    -------
    None where there are no two patches
    """
    frames = [fingerprint.log_mel(x) for x in samples]
    whitening = _whitening(frames)
    return None if whitening is None else _candidates(frames, whitening)


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
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=PAIR)
