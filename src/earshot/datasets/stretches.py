"""Stretches: what of a recording has one class alone, or one set of classes, from annotations that may overlap."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from earshot.datasets.annotations.annotation import Annotation
from earshot.metrics.labels import as_set

LATE = 0.05  # seconds: rows that end later than the recording by less are rounded, not wrong
DECIMALS = 6  # of times, in seconds
EVENT, BACKGROUND, WHOLE = (
    "event",
    "background",
    "recording",
)  # kinds that are used; the last where labels are no events
USED = (EVENT, BACKGROUND, WHOLE)
OVERLAP, UNMAPPED, BEYOND, UNREAD = (
    "overlap",
    "not mapped",
    "beyond the end",
    "recording set aside",
)  # those that aren't
NOT_MAPPED = "no label is mapped"  # why a recording is left out
Stretch = dict[str, Any]
Class = tuple[str, bool]  # the name, and whether it is one: a label that the card maps to no class is none


def stretches(
    annotations: list[Annotation],
    seconds: float,
    background: str | None,
    class_of: Mapping[str, str] | None = None,
    together: bool = False,
) -> list[Stretch]:
    """Divide a recording by the classes that are heard.

    Parameters
    ----------
    annotations : of the recording, in any order
    seconds : its length
    background : the label of what no annotation covers, or None
    class_of : the class of each label; one that is in none isn't used. None: labels are classes
    together : whether what is heard at once is used; all labels are then sets of classes, see `metrics.labels`

    Returns
    -------
    In the order of time: `label`, `start` and `stop` (seconds; equal for a point in time), and the `kind`, see `USED`.
    Where several classes are heard at once and `together` is false, the label is "a + b".
    """
    quiet = None if background is None else _class(background, class_of)
    quiet = quiet if quiet and quiet[1] else None
    inside, found = [], []
    for event in annotations:
        heard = _class(event.label, class_of)
        if event.end > seconds + LATE:
            found.append(_stretch(heard[0], BEYOND, max(event.start, seconds), event.end))
        if event.start <= seconds:
            inside.append((round(event.start, DECIMALS), round(min(event.end, seconds), DECIMALS), heard))
    points = [(start, heard) for start, stop, heard in inside if start == stop and heard != quiet]
    found += _divided([event for event in inside if event[0] < event[1]], points, seconds, quiet, together)
    found += [
        _stretch(*_judged([heard], None, together), at, at)
        for at, heard in dict.fromkeys(points)
        if not any(start <= at <= stop and label == heard for start, stop, label in inside if start < stop)
    ]
    return sorted(found, key=lambda one: (one["start"], one["stop"]))


def _class(label: str, class_of: Mapping[str, str] | None) -> Class:
    return (label, True) if class_of is None else (class_of.get(label, label), label in class_of)


def _stretch(label: str, kind: str, start: float, stop: float) -> Stretch:
    return {"label": label, "start": float(start), "stop": float(stop), "kind": kind}


def _judged(heard: list[Class], quiet: Class | None, together: bool) -> tuple[str, str]:
    """Return the label and the kind of a stretch in which some classes are heard."""
    names = [name for name, is_class in heard if is_class]
    if together and names:
        return as_set(names), BACKGROUND if heard == [quiet] else EVENT
    label = " + ".join(name for name, _ in heard)
    if len(heard) > 1:
        return label, OVERLAP if names or not together else UNMAPPED
    if heard == [quiet]:
        return label, BACKGROUND
    return label, EVENT if names else UNMAPPED


def _divided(
    events: list[tuple[float, float, Class]],
    points: list[tuple[float, Class]],
    seconds: float,
    quiet: Class | None,
    together: bool,
) -> list[Stretch]:
    """Divide the recording where the set of classes changes, and at points of another class."""
    changes: dict[float, Counter[Class]] = defaultdict(Counter)
    for start, stop, heard in events:
        changes[start][heard] += 1
        changes[stop][heard] -= 1
    at: dict[float, set[Class]] = defaultdict(set)
    for moment, heard in points:
        at[moment].add(heard)
    edges = sorted({0.0, round(seconds, DECIMALS), *changes, *at})
    active: Counter[Class] = Counter()
    found: list[Stretch] = []
    for start, stop in pairwise(edges):
        active.update(changes.get(start, {}))
        classes = sorted(heard for heard, number in active.items() if number > 0) or ([quiet] if quiet else [])
        if not classes:
            continue
        made = _stretch(*_judged(classes, quiet, together), start, stop)
        last = found[-1] if found else None
        divided = at.get(start, set()) - set(classes)
        alike = last and last["stop"] == start and all(last[key] == made[key] for key in ("label", "kind"))
        if alike and not divided:
            last["stop"] = made["stop"]
        else:
            found.append(made)
    return found


def facts(
    annotations: list[Annotation] | None,
    seconds: float,
    background: str | None,
    class_of: Mapping[str, str] | None = None,
    together: bool = False,
) -> dict[str, Any]:
    """Return `label`, `stretches` and perhaps a `reason` to set it aside, of a recording that was read.

    Parameters
    ----------
    annotations : None where nothing labels it
    seconds, background, class_of, together : see `stretches`
    """
    if annotations is None:
        return {"label": None, "stretches": [], "reason": "no labels"}
    found = stretches(annotations, seconds, background, class_of, together)
    classes = {one["label"] for one in found if one["kind"] in USED}
    reason = None if classes else _why_unused(found)
    return {"label": classes.pop() if len(classes) == 1 else None, "stretches": found, "reason": reason}


def _why_unused(found: list[Stretch]) -> str:
    if not found:
        return "no events"
    return NOT_MAPPED if all(one["kind"] == UNMAPPED for one in found) else "no stretch of one class"


def unread(annotations: list[Annotation] | None) -> list[Stretch]:
    """Return the stretches of a recording that is set aside: none is used."""
    return [_stretch(event.label, UNREAD, event.start, event.end) for event in annotations or []]
