"""AudioSet's strong labels: TSV with segment_id, start_time_seconds, end_time_seconds and label.

A segment_id is YTID_STARTMS: a video, and where in it the clip begins, in milliseconds. Times are of the clip.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePath

from earshot.datasets.annotations.annotation import Annotation, Labels, annotation, table
from earshot.errors import EarshotError

HEADER = ["segment_id", "start_time_seconds", "end_time_seconds", "label"]
SEGMENT = re.compile(r"(.+)_\d+")


def read(path: Path, columns: Mapping[str, str]) -> Labels:
    """Read a table."""
    events = []
    for line, row in table(path, HEADER):
        segment, start, end, label = (row[name] for name in HEADER)
        if not segment:
            raise EarshotError(f"{path}, line {line}: segment_id is empty, and must be YTID_STARTMS")
        events.append(annotation(path, line, start, end, label, file=segment))
    return Labels(events)


def video(segment: str) -> str | None:
    """Return the YTID of a segment_id."""
    found = SEGMENT.fullmatch(segment)
    return found[1] if found else None


def segment_id(file: str) -> str:
    """Return the segment_id of a recording; one that has no start in its name begins at 0."""
    stem = PurePath(file).stem
    return stem if SEGMENT.fullmatch(stem) else f"{stem}_0"


def lines(number: int, event: Annotation) -> list[list[str]]:
    """Return the row of an event, as fields."""
    return [[segment_id(event.file or ""), f"{event.start:.3f}", f"{event.end:.3f}", event.label]]
