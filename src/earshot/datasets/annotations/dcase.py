"""DCASE's tables of events: TSV with filename, onset, offset and event_label; older ones have no header."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from earshot.datasets.annotations.annotation import (
    Annotation,
    Labels,
    annotation,
    is_number,
    rows,
    table,
    unquoted,
)
from earshot.errors import EarshotError

HEADER = ["filename", "onset", "offset", "event_label"]


def read(path: Path, columns: Mapping[str, str]) -> Labels:
    """Read a table; a row with nothing but a file name lists a recording without events.

    Without a header a row has onset, offset and label, perhaps after a file name, or a file name and a scene.
    """
    events, silent = [], {}
    for line, (file, start, end, label) in _rows(path):
        if file and not (start or end or label):
            silent[file] = line
        else:
            events.append(annotation(path, line, start, end, label, file=file))
    return Labels(events, silent)


def _rows(path: Path) -> Iterator[tuple[int, tuple[str, str, str, str]]]:
    _, first = next(rows(path), (0, []))
    if "onset" in map(unquoted, first):
        for line, row in table(path, HEADER[1:]):
            yield line, (row.get(HEADER[0], ""), *(row[name] for name in HEADER[1:]))
        return
    for line, fields in rows(path):
        yield line, _without_header(path, line, [unquoted(part) for part in fields])


def _without_header(path: Path, line: int, fields: list[str]) -> tuple[str, str, str, str]:
    if len(fields) == 1:
        return fields[0], "", "", ""
    before = len(fields) - 3  # a file name, or a file name and a scene
    if not 0 <= before <= 2 or not all(map(is_number, fields[before : before + 2])):
        raise EarshotError(
            f"{path}, line {line}: must be {', '.join(HEADER)}, separated by TABs; onset and offset in seconds"
        )
    return fields[0] if before else "", *fields[before:]


def lines(number: int, event: Annotation) -> list[list[str]]:
    """Return the row of an event, as fields."""
    return [[event.file or "", f"{event.start:.6f}", f"{event.end:.6f}", event.label]]
