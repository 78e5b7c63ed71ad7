"""Raven's selection tables: TSV with a header, a row for each view of a selection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from earshot.datasets.annotations.annotation import Annotation, Labels, annotation, is_number, number, table
from earshot.errors import EarshotError

BEGIN, END, LOW, HIGH = "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)"
FILE, OFFSET, LABEL, SCORE = "Begin File", "File Offset (s)", "Annotation", "Score"
LABELS = (LABEL, "Label", "Species", "Common Name", "Species Code", "Class", "Tag", "Call Type")  # the first there is
HEADER = ["Selection", "View", "Channel", BEGIN, END, LOW, HIGH, FILE, OFFSET, LABEL, SCORE]


def read(path: Path, columns: Mapping[str, str]) -> Labels:
    """Read a selection table; `columns` may name the one of the `label`, of the `file` and of the `score`."""
    events: list[Annotation] = []
    seen: dict[tuple[str | None, ...], int] = {}
    for line, row in table(path, [BEGIN, END, *columns.values()]):
        file = row.get(columns.get("file", FILE)) or None
        start, end = row[BEGIN], row[END]
        if file and row.get(OFFSET):  # the times are of the sequence of files that was open
            where = f"{path}, line {line}"
            length = number(where, END, end) - number(where, BEGIN, start)
            start = row[OFFSET]
            end = f"{number(where, OFFSET, start) + length:.6f}"
        made = annotation(
            path,
            line,
            start,
            end,
            row[_label_column(path, row, columns)],
            file=file,
            low=row.get(LOW),
            high=row.get(HIGH),
            score=_score(row, columns),
        )
        key = (row.get("Selection") or f"line {line}", file, start, end, made.label)
        if key not in seen:
            seen[key] = len(events)
            events.append(made)
        elif "spectrogram" in row.get("View", "").lower():  # whose frequencies are meant; a waveform has none
            events[seen[key]] = replace(events[seen[key]], low=made.low, high=made.high)
    return Labels(events)


def _label_column(path: Path, row: Mapping[str, str], columns: Mapping[str, str]) -> str:
    found = columns.get("label") or next((name for name in LABELS if name in row), None)
    if found is None:
        has = ", ".join(row)
        raise EarshotError(f"{path}, line 1: no column is called {LABEL}: name one by layout.columns.label, of: {has}")
    return found


def _score(row: Mapping[str, str], columns: Mapping[str, str]) -> str | None:
    """Return the score, if it is one: Raven's own detectors fill such a column with what they like."""
    found = row.get(columns["score"]) if "score" in columns else row.get(SCORE) or row.get("Confidence")
    return found if found and is_number(found) else None


def lines(number: int, event: Annotation) -> list[list[str]]:
    """Return the row of an event, as fields."""
    start, end = f"{event.start:.6f}", f"{event.end:.6f}"
    low, high = ("" if edge is None else f"{edge:.1f}" for edge in (event.low, event.high))
    score = "" if event.score is None else f"{event.score:.6g}"
    file, offset = (event.file, start) if event.file else ("", "")
    return [[str(number), "Spectrogram 1", "1", start, end, low, high, file, offset, event.label, score]]
