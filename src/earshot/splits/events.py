"""Events as spans: each stretch of one class, and a window around each event that is too short to hold one."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from earshot.datasets import manifest
from earshot.datasets.stretches import BACKGROUND, EVENT, USED
from earshot.metrics import labels
from earshot.splits import windows

COLUMNS = ["recording", "group", "label", "start", "stop", "fold"]


class _Part(NamedTuple):
    """A stretch, see `datasets.stretches`."""

    label: str
    start: float
    stop: float
    kind: str


def spans_of(recordings: pd.DataFrame, window: Mapping[str, float]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the spans of recordings whose labels are events.

    A stretch in which a window of the grid fits is a span. An event without one gets the window that is nearest to
    being centred on it, if that lies in the recording and touches no event of another class; the background ends there.
    Where labels are sets of classes, that window touches what it does: its label is all classes that are heard in it.

    Parameters
    ----------
    recordings : the manifest's, with the column `manifest.STRETCHES`; those that are padded are one window
    window : `length` and `hop` in seconds

    Returns
    -------
    spans : columns `COLUMNS`
    unused : the events for which there is no window, with the same columns
    """
    parts: dict[str, list[_Part]] = {}
    for name, *part in manifest.stretches(recordings).itertuples(index=False, name=None):
        parts.setdefault(name, []).append(_Part(*part))
    spans: list[tuple[Any, ...]] = []
    unused: list[tuple[Any, ...]] = []
    padding = recordings.get("padded", 0.0)
    for row in recordings[["recording", "group", "fold", "seconds"]].assign(padded=padding).itertuples():
        mine = _padded(parts.get(row.recording, []), row.seconds, row.padded)
        cut, left = _of_recording(mine, row.seconds + row.padded, window)
        for found, rows in ((spans, cut), (unused, left)):
            found += [(row.recording, row.group, part.label, part.start, part.stop, row.fold) for part in rows]
    return pd.DataFrame(spans, columns=COLUMNS), pd.DataFrame(unused, columns=COLUMNS)


def _padded(parts: list[_Part], seconds: float, padded: float) -> list[_Part]:
    """Return the stretches of a recording where what it is padded with belongs to the one at its end."""
    if not padded:
        return parts
    return [part._replace(stop=seconds + padded) if part.stop >= seconds - windows.GRID else part for part in parts]


def _of_recording(
    parts: Sequence[_Part], seconds: float, window: Mapping[str, float]
) -> tuple[list[_Part], list[_Part]]:
    """Return the spans of a recording in the order of time, and the events without a window."""
    kept, unused = [], []
    around: dict[tuple[str, float], _Part] = {}  # several short events may have the same window
    for part in parts:
        if part.kind not in USED or part.kind == BACKGROUND:
            continue
        if part.kind != EVENT or len(windows.starts(part.start, part.stop, **window)):
            kept.append(part)
        elif (start := _around(part, parts, seconds, window)) is None:
            unused.append(part)
        else:
            label = _heard(part, parts, start, start + window["length"])
            around[label, start] = part._replace(label=label, start=start, stop=start + window["length"])
    taken = sorted(around.values(), key=lambda part: part.start)
    quiet = [piece for part in parts if part.kind == BACKGROUND for piece in _without(part, taken)]
    return sorted([*kept, *around.values(), *quiet], key=lambda part: (part.start, part.stop)), unused


def _around(event: _Part, parts: Sequence[_Part], seconds: float, window: Mapping[str, float]) -> float | None:
    """Return where the window of the grid begins that is nearest to being centred on an event; None if none is free."""
    length, hop = window["length"], window["hop"]
    middle = (event.start + event.stop) / 2
    first, last = math.ceil((middle - length) / hop - windows.GRID), math.floor(middle / hop + windows.GRID)
    inside = [n * hop for n in range(max(first, 0), last + 1) if n * hop + length <= seconds + windows.GRID]
    near = _near(parts, middle - length, middle + length)
    free = [start for start in inside if not any(_touches(part, event.label, start, start + length) for part in near)]
    return min(free, key=lambda start: abs(start + length / 2 - middle), default=None)


def _near(parts: Sequence[_Part], start: float, stop: float) -> Sequence[_Part]:
    """Return those of some parts, ordered by start and by stop, that reach from `start` to `stop`."""
    first = bisect_left(parts, start, key=lambda part: part.stop)
    return parts[first : bisect_right(parts, stop, key=lambda part: part.start)]


def _touches(part: _Part, label: str, start: float, stop: float) -> bool:
    """Return whether sound of another class than `label` is in a stretch from `start` to `stop`."""
    if labels.is_set(label):
        return False
    foreign = part.kind != BACKGROUND and (part.label != label or part.kind not in USED)
    return foreign and part.start < stop - windows.GRID and part.stop > start + windows.GRID


def _heard(event: _Part, parts: Sequence[_Part], start: float, stop: float) -> str:
    """Return the label of the window around an event: its own, or where labels are sets, that of all events in it."""
    if not labels.is_set(event.label):
        return event.label
    inside = [part for part in _near(parts, start + windows.GRID, stop - windows.GRID) if part.kind == EVENT]
    return labels.as_set(name for part in (event, *inside) for name in labels.names_of(part.label))


def _without(quiet: _Part, taken: Sequence[_Part]) -> Iterator[_Part]:
    """Yield what is left of the background without the windows that events have taken, which are in order."""
    begin = quiet.start
    for part in _near(taken, quiet.start, quiet.stop):
        if part.start < quiet.stop and part.stop > begin:
            if part.start > begin:
                yield quiet._replace(start=begin, stop=part.start)
            begin = part.stop
    if begin < quiet.stop:
        yield quiet._replace(start=begin)
