"""Output formats of predictions: for people, programs, spreadsheets and Audacity."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from dataclasses import asdict

from earshot.detection.answer import Answer
from earshot.detection.detector import Window
from earshot.errors import EarshotError
from earshot.files import rounded

EVENT = ["file", "start", "end", "label", "confidence"]


class Format:
    """Writes predictions to standard output; a format ignores what it has no place for."""

    def __init__(self, classes: list[str]):
        """Take the model's classes."""
        self.classes = classes

    def window(self, name: str, window: Window) -> None:
        """Write a window of a file."""

    def answer(self, name: str, found: Answer) -> None:
        """Write the result of a file."""

    def error(self, name: str, message: str) -> None:
        """Write that a file has no result; the error is printed on standard error, too."""


class Table(Format):
    """For people: the whole first, then the events."""

    def answer(self, name: str, found: Answer) -> None:
        """Write the result of a file."""
        ranked = sorted(found.scores.items(), key=lambda item: -item[1])
        print(f"{name}  {clock(found.seconds)}  " + ", ".join(f"{label} {score:.3f}" for label, score in ranked))
        for event in found.events:
            span = f"{clock(event.start):>11} {clock(event.end):>11}"
            print(f"{span}  {event.label:{max(map(len, self.classes))}} {event.confidence:.3f}", flush=True)


class Json(Format):
    """For programs: a line of JSON for each file."""

    def answer(self, name: str, found: Answer) -> None:
        """Write the result of a file."""
        line = {"file": name, "label": found.label} | rounded(asdict(found))
        print(json.dumps(line, ensure_ascii=False), flush=True)

    def error(self, name: str, message: str) -> None:
        """Write that a file has no result."""
        print(json.dumps({"file": name, "error": message}, ensure_ascii=False), flush=True)


class Csv(Format):
    """For spreadsheets: a row for each event."""

    def __init__(self, classes: list[str]):
        """Write the header."""
        self.write = _rows()
        self.write(EVENT)

    def answer(self, name: str, found: Answer) -> None:
        """Write the events of a file."""
        for event in found.events:
            self.write([name, *rounded(list(asdict(event).values()))])


class Windows(Format):
    """For spreadsheets, all probabilities: a row of CSV for each window, as soon as it is known."""

    def __init__(self, classes: list[str]):
        """Write the header."""
        self.write = _rows()
        self.write(["file", "start", "seconds", *(f"p_{label}" for label in classes)])

    def window(self, name: str, window: Window) -> None:
        """Write a window."""
        self.write([name, *rounded([window.start, window.seconds, *window.probabilities.tolist()])])


class Audacity(Format):
    """For Audacity (File, Import, Labels): start, end and label of each event, of one file."""

    written: str | None = None

    def answer(self, name: str, found: Answer) -> None:
        """Write the events of a file.

        Raises
        ------
        EarshotError
            If those of another file are written already: a label track can't name its file.
        """
        if self.written:
            raise EarshotError(f"a label track is of one file, and that of {self.written} is written")
        self.written = name
        for event in found.events:
            print(f"{event.start:.6f}\t{event.end:.6f}\t{event.label} {event.confidence:.2f}")


FORMATS = {"table": Table, "json": Json, "csv": Csv, "windows": Windows, "audacity": Audacity}


def clock(seconds: float) -> str:
    """Return a time as h:mm:ss.s."""
    tenths = round(seconds * 10)
    return f"{tenths // 36000}:{tenths // 600 % 60:02d}:{tenths % 600 / 10:04.1f}"


def _rows() -> Callable[[list], None]:
    return csv.writer(sys.stdout, lineterminator="\n").writerow
