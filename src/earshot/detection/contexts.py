"""What a model of frames hears at a time: stretches of a sound that overlap, and which of its frames are taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np


class Context(NamedTuple):
    """A stretch of a sound and those of its frames that are taken from it: each of the sound's from one.

    samples : shape (n,), at most as long as the grid's `seconds`
    begin : the number of its first frame in the sound
    first, stop : of the frames in it, those that are taken
    """

    samples: np.ndarray
    begin: int
    first: int
    stop: int


def contexts(
    blocks: Iterable[np.ndarray], sample_rate: int, grid: Mapping[str, float], hop: float | None = None
) -> Iterator[Context]:
    """Cut a sound into stretches while it comes in, so that memory does not grow with its length.

    All but the first are `grid["seconds"]` long, and all begin on a frame. Frames within `margin` of an end are taken
    from another stretch, but for the ends of the sound.

    Parameters
    ----------
    blocks : of the sound, float32, shape (samples,)
    grid : see `models.frames.Frames.grid`
    hop : seconds from one to the next, rounded to frames; by default and at most what is between the margins
    """
    frame = round(grid["step"] * sample_rate)  # samples
    length, margin = (round(grid[name] / grid["step"]) for name in ("seconds", "margin"))
    between = length - 2 * margin
    on = between if hop is None else min(max(1, round(hop / grid["step"])), between)
    held, origin, taken = np.empty(0, np.float32), 0, 0  # samples from frame `origin` on; frames that have been taken
    for block in blocks:
        held = np.concatenate([held, block])
        while origin * frame + len(held) >= (end := taken + on + margin) * frame:
            begin = max(0, end - length)
            samples = held[(begin - origin) * frame : (end - origin) * frame]
            yield Context(samples, begin, taken - begin, taken + on - begin)
            taken += on
            done = max(0, taken + margin - length)  # the last one may begin there
            held, origin = held[(done - origin) * frame :], done
    total = origin + -(-len(held) // frame)
    if total > taken:
        begin = max(0, total - length)
        yield Context(held[(begin - origin) * frame :], begin, taken - begin, total - begin)
