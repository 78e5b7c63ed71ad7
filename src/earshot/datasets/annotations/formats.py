"""The formats of label files by name, as cards and `earshot predict --format` call them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from earshot.datasets.annotations import audacity, audioset, dcase, plain_table, raven
from earshot.datasets.annotations.annotation import Annotation, Labels
from earshot.errors import EarshotError


@dataclass(frozen=True)
class Format:
    """A format of label files.

    read : of a path and the columns that a card names
    header : its fields; none where the format has no header
    lines : the fields of the lines of an event, which is the n-th of the file
    separator : of fields
    """

    read: Callable[[Path, Mapping[str, str]], Labels]
    header: list[str]
    lines: Callable[[int, Annotation], list[list[str]]]
    separator: str = "\t"

    def text(self, rows: Iterable[list[str]]) -> str:
        """Return lines as text.

        Raises
        ------
        EarshotError
            If a field has a TAB or a line end, and the format no way to write it.
        """
        if self.separator == ",":
            out = io.StringIO()
            csv.writer(out, lineterminator="\n").writerows(rows)
            return out.getvalue()
        for part in (part for row in rows for part in row):
            if set(part) & set("\t\r\n"):
                raise EarshotError(f"{part!r} can't be written to a label file of TABs and lines: use --format csv")
        return "".join(self.separator.join(row) + "\n" for row in rows)


FORMATS = {
    "audacity": Format(audacity.read, audacity.HEADER, audacity.lines),
    "raven": Format(raven.read, raven.HEADER, raven.lines),
    "dcase": Format(dcase.read, dcase.HEADER, dcase.lines),
    "audioset": Format(audioset.read, audioset.HEADER, audioset.lines),
    "csv": Format(plain_table.read, plain_table.HEADER, plain_table.lines, ","),
}


def read(path: Path, form: str, columns: Mapping[str, str] | None = None) -> Labels:
    """Read a label file.

    Parameters
    ----------
    path : the file
    form : of `FORMATS`
    columns : what the columns of a table are called, by file, start, end, label, score, low, high

    Raises
    ------
    EarshotError
        If a line of it is wrong: names the file, the line and what is right.
    """
    return FORMATS[form].read(path, columns or {})


def write(form: str, events: Iterable[Annotation]) -> str:
    """Return the text of a label file."""
    chosen = FORMATS[form]
    rows = [chosen.header] if chosen.header else []
    for number, event in enumerate(events, 1):
        rows += chosen.lines(number, event)
    return chosen.text(rows)
