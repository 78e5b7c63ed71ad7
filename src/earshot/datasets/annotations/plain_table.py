"""Tables of events as CSV, with whatever columns; those that `earshot predict --format csv` writes are the default."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from earshot.datasets.annotations.annotation import Annotation, Labels, annotation, text
from earshot.datasets.tables import read_table
from earshot.files import rounded

COLUMNS = {"file": "file", "start": "start", "end": "end", "label": "label", "score": "confidence"}
NEEDED = ("start", "end", "label")
HEADER = list(COLUMNS.values())
FORMULA = "=+-@\t\r"  # what a spreadsheet takes for the beginning of one
COMPUTED = rf"'*[{re.escape(FORMULA)}]"


def read(path: Path, columns: Mapping[str, str]) -> Labels:
    """Read a table; `columns` names those of file, start, end, label, score, low and high.

    A row with nothing but a file lists a recording without events.
    """
    names = {"low": "low", "high": "high", **COLUMNS, **columns}
    if len(text(path).split("\n", 1)[-1].strip()) == 0:  # a header, and nothing happened
        return Labels([])
    wanted = dict.fromkeys([*(names[key] for key in NEEDED), *columns.values()])
    events, silent = [], {}
    table = read_table(path, list(wanted), "layout.labels")
    for line, row in zip(table.index.tolist(), table.to_dict("records"), strict=True):
        found = {key: value if isinstance(value := row.get(name), str) else "" for key, name in names.items()}
        if found["file"] and not any(found[key] for key in NEEDED):
            silent[found["file"]] = line
            continue
        needed = (found.pop(key) for key in NEEDED)
        start, end, label = needed
        events.append(annotation(path, line, start, end, _from_spreadsheet(label), **found))
    return Labels(events, silent)


def lines(number: int, event: Annotation) -> list[list[str]]:
    """Return the row of an event, as fields."""
    score = "" if event.score is None else rounded(event.score)
    return [[event.file or "", *map(str, rounded([event.start, event.end])), _for_spreadsheet(event.label), str(score)]]


def _for_spreadsheet(label: str) -> str:
    """Return a class as a spreadsheet takes it for a text: `=1+2` is `'=1+2`, as one types it there."""
    return f"'{label}" if re.match(COMPUTED, label) else label


def _from_spreadsheet(label: str) -> str:
    return label[1:] if re.match(f"'{COMPUTED}", label) else label
