"""Cutting a recording into stretches while it is being read, so that memory does not grow with its length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np


def stretches(blocks: Iterable[np.ndarray], length: int, hop: float, n: int) -> Iterator[np.ndarray]:
    """Yield the samples of `n` rows at a time; the last time of those that are left.

    Row k sees `length` samples from sample k * hop on, rounded to a whole one. Where the blocks end does not matter.

    Parameters
    ----------
    blocks : of one recording, float32, shape (samples,)
    length, hop : samples
    """
    held, begins = np.empty(0, np.float32), 0  # what is not done with, and its first sample's number
    row = 0
    for block in blocks:
        held = np.concatenate([held, block])
        while begins + len(held) >= (stop := round((row + n - 1) * hop) + length):
            yield held[round(row * hop) - begins : stop - begins]
            row += n
            done = min(round(row * hop) - begins, len(held))
            held, begins = held[done:], begins + done
    stops = [round((row + more) * hop) + length for more in range(n)]
    if whole := [stop for stop in stops if stop <= begins + len(held)]:
        yield held[round(row * hop) - begins : whole[-1] - begins]


def beginning(blocks: Iterable[np.ndarray], n: int) -> np.ndarray:
    """Return the first `n` samples, or all where there are fewer; what follows is not read."""
    taken, left = [], n
    for block in blocks:
        taken.append(block[:left])
        left -= len(taken[-1])
        if not left:
            break
    return np.concatenate(taken)
