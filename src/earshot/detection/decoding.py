"""Events from scores that are all known: what `events.Events` finds as they come in, many times faster."""

from __future__ import annotations

import numpy as np

from earshot.detection.rule import Rule
from earshot.splits.windows import GRID

Rises = np.ndarray | None


def smoothed(scores: np.ndarray, half: int) -> np.ndarray:
    """Replace each score by the median of it and `half` before and after it, as far as there are so many: (T,)."""
    if not half:
        return scores
    around = np.lib.stride_tricks.sliding_window_view(np.pad(scores, half, constant_values=np.nan), 2 * half + 1)
    return np.nanmedian(around, axis=1)


def decoded(starts: np.ndarray, ends: np.ndarray, scores: np.ndarray, rule: Rule, rises: Rises = None) -> np.ndarray:
    """Return the events of one class: starts and ends in seconds, (n, 2).

    Parameters
    ----------
    starts, ends, scores : (T,); of stretches in the order of time. Where one does not begin at the end of the one
        before it, a clip ends, and no event or gap goes on
    rule : all of it but `median`, since scores are smoothed clip by clip, see `smoothed`
    rises : times and heights of rises of level, (R, 2), in the order of time; needed for `snap`
    """
    if not len(scores):
        return np.empty((0, 2))
    first = np.append(True, starts[1:] > ends[:-1] + GRID)
    begins, stops = _hysteresis(scores, first, rule)
    if not len(begins):
        return np.empty((0, 2))
    if back := rule.back(float(ends[0] - starts[0])):
        begins = _followed(begins, stops, scores, first, rule.attack, back)
    clip = np.cumsum(first)
    apart = (starts[begins[1:]] - ends[stops[:-1]] > rule.max_gap + GRID) | (clip[begins[1:]] != clip[stops[:-1]])
    begins, stops = begins[np.append(True, apart)], stops[np.append(apart, True)]
    events = np.column_stack([starts[begins], ends[stops]])
    long = events[:, 1] - events[:, 0] >= rule.min_duration
    if rule.snap and rises is not None:
        events[:, 0] = _snapped(events, rises, rule.snap)
    return events[long]


def _hysteresis(scores: np.ndarray, first: np.ndarray, rule: Rule) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the last stretch of each event by its thresholds; `first`: where clips begin."""
    state = np.where(scores >= rule.threshold, 1, np.where(scores < rule.release, 0, -1))
    state[first & (state < 0)] = 0
    known = np.maximum.accumulate(np.where(state >= 0, np.arange(len(state)), 0))
    on = state[known] == 1
    begins = np.flatnonzero(on & (first | ~np.append(False, on[:-1])))
    return begins, np.flatnonzero(on & np.append(first[1:] | ~on[1:], True))


def _followed(
    begins: np.ndarray, stops: np.ndarray, scores: np.ndarray, first: np.ndarray, attack: float, back: int
) -> np.ndarray:
    """Return where events begin once they are followed back while scores reach `attack`, `back` of them at most."""
    places = np.arange(len(scores))
    clip = np.maximum.accumulate(np.where(first, places, 0))
    since = np.maximum.accumulate(np.where(scores < attack, places + 1, 0))  # the first of the scores that reach it
    before = np.append(0, stops[:-1] + 1)
    return np.minimum(begins, np.max([since[begins], clip[begins], before, begins - back], axis=0))


def _snapped(events: np.ndarray, rises: np.ndarray, snap: float) -> np.ndarray:
    """Return the times of the greatest rises within `snap` of the events' starts: in them, or after the one before."""
    found, before = events[:, 0].copy(), -np.inf
    for number, (start, end) in enumerate(events):
        lowest, highest = max(start - snap - GRID, before), min(start + snap, end) + GRID
        near = rises[slice(*np.searchsorted(rises[:, 0], [lowest, highest]))]
        if len(near):
            found[number] = near[near[:, 1].argmax(), 0]
        before = end
    return found
