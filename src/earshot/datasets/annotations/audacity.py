r"""Audacity's label tracks: start, end and label, separated by TABs, without a header; a track is of one recording.

A line that begins with a backslash holds the frequencies of the label before it. A model's score is the last word of
the label, with two decimals: `siren 0.87`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from earshot.datasets.annotations.annotation import Annotation, Labels, annotation, optional, rows
from earshot.errors import EarshotError

HEADER: list[str] = []
SCORED = re.compile(r"(.*\S) ((?:0\.\d\d)|1\.00)")
UNKNOWN = -1.0  # Audacity's value for a frequency that isn't limited


def read(path: Path, columns: Mapping[str, str]) -> Labels:
    """Read a label track."""
    events: list[Annotation] = []
    for line, fields in rows(path):
        where = f"{path}, line {line}"
        if fields[0] == "\\":
            if not events or len(fields) != 3:
                raise EarshotError(f"{where}: must be a backslash, a low and a high frequency, below a label")
            low, high = (optional(where, name, part) for name, part in zip(("low", "high"), fields[1:], strict=True))
            events[-1] = replace(events[-1], low=low, high=high)
            continue
        if len(fields) < 2:
            raise EarshotError(f"{where}: must be start, end and label, separated by TABs")
        label, score = _scored(" ".join(fields[2:]))
        events.append(annotation(path, line, *fields[:2], label, score=score))
    return Labels(events)


def _scored(label: str) -> tuple[str, str | None]:
    found = SCORED.fullmatch(label)
    return (found[1], found[2]) if found else (label, None)


def lines(number: int, event: Annotation) -> list[list[str]]:
    """Return the lines of an event, as fields."""
    label = event.label if event.score is None else f"{event.label} {event.score:.2f}"
    found = [[f"{event.start:.6f}", f"{event.end:.6f}", label]]
    if event.low is not None or event.high is not None:
        low, high = (UNKNOWN if edge is None else edge for edge in (event.low, event.high))
        found.append(["\\", f"{low:.6f}", f"{high:.6f}"])
    return found
