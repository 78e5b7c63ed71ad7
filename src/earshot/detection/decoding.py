"""Events from scores that are all known: what `events.Events` finds as they come in, many times faster."""

from __future__ import annotations

import numpy as np

from earshot.detection.rule import Rule
from earshot.splits.windows import GRID


def smoothed(scores: np.ndarray, half: int) -> np.ndarray:
    """Replace each score by the median of it and `half` before and after it, as far as there are so many: (T,)."""
    if not half:
        return scores
    around = np.lib.stride_tricks.sliding_window_view(np.pad(scores, half, constant_values=np.nan), 2 * half + 1)
    return np.nanmedian(around, axis=1)


def decoded(starts: np.ndarray, ends: np.ndarray, scores: np.ndarray, rule: Rule) -> np.ndarray:
    """Return the events of one class: starts and ends in seconds, (n, 2).

    Parameters
    ----------
    starts, ends, scores : (T,); of stretches in the order of time. Where one does not begin at the end of the one
        before it, a clip ends, and no event or gap goes on
    rule : all of it but `median`, since scores are smoothed clip by clip, see `smoothed`
    """
    if not len(scores):
        return np.empty((0, 2))
    first = np.append(True, starts[1:] > ends[:-1] + GRID)
    state = np.where(scores >= rule.threshold, 1, np.where(scores < rule.release, 0, -1))
    state[first & (state < 0)] = 0
    known = np.maximum.accumulate(np.where(state >= 0, np.arange(len(state)), 0))
    on = state[known] == 1
    begins = np.flatnonzero(on & (first | ~np.append(False, on[:-1])))
    stops = np.flatnonzero(on & np.append(first[1:] | ~on[1:], True))
    if not len(begins):
        return np.empty((0, 2))
    clip = np.cumsum(first)
    apart = (starts[begins[1:]] - ends[stops[:-1]] > rule.max_gap + GRID) | (clip[begins[1:]] != clip[stops[:-1]])
    begins, stops = begins[np.append(True, apart)], stops[np.append(apart, True)]
    events = np.column_stack([starts[begins], ends[stops]])
    return events[events[:, 1] - events[:, 0] >= rule.min_duration]
