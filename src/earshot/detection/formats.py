"""Output formats of predictions: for people, programs, spreadsheets, and label files that other programs read."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, replace

from earshot.datasets.annotations import audioset
from earshot.datasets.annotations.annotation import Annotation
from earshot.datasets.annotations.formats import FORMATS
from earshot.datasets.annotations.plain_table import FORMULA
from earshot.detection.answer import Answer
from earshot.detection.detector import Window
from earshot.detection.events import Event
from earshot.errors import EarshotError, printable
from earshot.files import rounded

MOST_SHOWN = 10  # classes in a line for people; of more, the FEW highest
FEW = 5


class Format:
    """Writes predictions to standard output; a format ignores what it has no place for."""

    def __init__(self, classes: list[str], highest: float):
        """Take the model's classes, and the highest frequency that it hears, in Hz."""
        self.classes, self.highest = classes, highest

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
        scores = in_words(sorted(found.scores.items(), key=lambda item: -item[1]))
        print(printable(f"{name}  {clock(found.seconds)}  {scores}"))
        labels = self.classes if len(self.classes) <= MOST_SHOWN else [event.label for event in found.events]
        for event in found.events:
            span = f"{clock(event.start):>11} {clock(event.end):>11}"
            label = f"{event.label:{max(map(len, labels))}}"
            print(printable(f"{span}  {label} {event.confidence:.3f}"), flush=True)


class Json(Format):
    """For programs: a line of JSON for each file."""

    def answer(self, name: str, found: Answer) -> None:
        """Write the result of a file."""
        line = {"file": name, "label": found.label} | rounded(asdict(found))
        print(json.dumps(line, ensure_ascii=False), flush=True)

    def error(self, name: str, message: str) -> None:
        """Write that a file has no result."""
        print(json.dumps({"file": name, "error": message}, ensure_ascii=False), flush=True)


class LabelFile(Format):
    """A label file of all files: a row for each event, in one of `annotations.formats`."""

    form: str

    def __init__(self, classes: list[str], highest: float):
        """Write the header, if the format has one."""
        super().__init__(classes, highest)
        self.format, self.written = FORMATS[self.form], 0
        if self.format.header:
            self._print([self.format.header])

    def answer(self, name: str, found: Answer) -> None:
        """Write the events of a file."""
        for event in found.events:
            self.written += 1
            self._print(self.format.lines(self.written, self.annotation(name, event)))

    def annotation(self, name: str, event: Event) -> Annotation:
        """Return an event as a label file has it."""
        return Annotation(event.start, event.end, event.label, file=name, score=event.confidence)

    def _print(self, lines: list[list[str]]) -> None:
        print(self.format.text(lines), end="", flush=True)


class Csv(LabelFile):
    """For spreadsheets: a row for each event."""

    form = "csv"

    def annotation(self, name: str, event: Event) -> Annotation:
        """Return an event with the name of its file as a spreadsheet may have it."""
        return super().annotation(no_formula(name), event)


class Raven(LabelFile):
    """For Raven (File, Open Sound Selection Table): a selection for each event, over all frequencies of the model."""

    form = "raven"

    def annotation(self, name: str, event: Event) -> Annotation:
        """Return an event with the frequencies that Raven's boxes need."""
        return replace(super().annotation(name, event), low=0.0, high=self.highest)


class Dcase(LabelFile):
    """For evaluation with sed_eval and dcase_util: a row of TSV for each event."""

    form = "dcase"


class AudioSet(LabelFile):
    """As AudioSet's strong labels: a row of TSV for each event; the file's name without its suffix is the segment."""

    form = "audioset"

    def __init__(self, classes: list[str], highest: float):
        """Write the header."""
        super().__init__(classes, highest)
        self.segments: dict[str, str] = {}

    def answer(self, name: str, found: Answer) -> None:
        """Write the events of a file.

        Raises
        ------
        EarshotError
            If another file has the same segment_id: the events could not be told apart.
        """
        segment = audioset.segment_id(name)
        if (other := self.segments.setdefault(segment, name)) != name:
            raise EarshotError(f"has the segment_id {segment}, as {other} has: use --format dcase, which names files")
        super().answer(name, found)


class Windows(Format):
    """For spreadsheets, all probabilities: a row of CSV for each window, as soon as it is known."""

    def __init__(self, classes: list[str], highest: float):
        """Write the header."""
        super().__init__(classes, highest)
        self.write = csv.writer(sys.stdout, lineterminator="\n").writerow
        self.write(["file", "start", "seconds", *(f"p_{label}" for label in classes)])

    def window(self, name: str, window: Window) -> None:
        """Write a window."""
        self.write([no_formula(name), *rounded([window.start, window.seconds, *window.probabilities.tolist()])])


class Audacity(LabelFile):
    """For Audacity (File, Import, Labels): start, end and label of each event, of one file."""

    form = "audacity"
    track: str | None = None

    def answer(self, name: str, found: Answer) -> None:
        """Write the events of a file.

        Raises
        ------
        EarshotError
            If those of another file are written already: a label track can't name its file.
        """
        if self.track:
            raise EarshotError(f"a label track is of one file, and that of {self.track} is written")
        self.track = name
        super().answer(name, found)


OUTPUTS = {
    "table": Table,
    "json": Json,
    "csv": Csv,
    "windows": Windows,
    "audacity": Audacity,
    "raven": Raven,
    "dcase": Dcase,
    "audioset": AudioSet,
}


def no_formula(path: str) -> str:
    """Return a path that no spreadsheet computes: `=1+2.wav` is `./=1+2.wav`, which is the same file."""
    return f"./{path}" if path.startswith(tuple(FORMULA)) else path


def in_words(scores: Iterable[tuple[str, float]]) -> str:
    """Return the score of each class as text for people; of many classes the highest."""
    shown = list(scores)
    if len(shown) > MOST_SHOWN:
        shown = sorted(shown, key=lambda item: -item[1])[:FEW]
    return ", ".join(f"{label} {score:.3f}" for label, score in shown)


def clock(seconds: float) -> str:
    """Return a time as h:mm:ss.s."""
    tenths = round(seconds * 10)
    return f"{tenths // 36000}:{tenths // 600 % 60:02d}:{tenths % 600 / 10:04.1f}"
