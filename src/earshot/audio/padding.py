"""Padding: what makes sound that is shorter than a window as long as one."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import numpy as np

NONE = "none"


def padded(samples: np.ndarray, n: int, how: str) -> np.ndarray:
    """Return mono sound with at least `n` samples: unchanged where it has them, or where it has none at all.

    Parameters
    ----------
    samples : float32, shape (m,)
    how : of `settings.PADS`
    """
    missing = n - len(samples)
    if missing <= 0 or not len(samples) or how == NONE:
        return samples
    if how == "repeat":
        return np.resize(samples, n)
    before = missing // 2 if how == "center" else 0
    return np.pad(samples, (before, missing - before))


def padded_blocks(blocks: Iterable[np.ndarray], n: int, how: str) -> Iterator[np.ndarray]:
    """Do the same with sound that comes in blocks, without holding more of it than `n` samples need."""
    if how == NONE:
        yield from blocks
        return
    rest, held, together = iter(blocks), [np.empty(0, np.float32)], 0
    while together < n and (block := next(rest, None)) is not None:
        held.append(block)
        together += len(block)
    yield from itertools.chain([padded(np.concatenate(held), n, how)], rest)
