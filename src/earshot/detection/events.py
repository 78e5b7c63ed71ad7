"""Events, from the scores of a timeline."""

from __future__ import annotations

from dataclasses import dataclass

from earshot.detection.rule import Rule
from earshot.detection.timeline import Stretch


@dataclass(frozen=True)
class Event:
    """A class that was detected from `start` to `end` (seconds); confidence: the mean of its scores."""

    start: float
    end: float
    label: str
    confidence: float


@dataclass
class _Open:
    """An event that has not ended yet."""

    start: float
    end: float = 0.0
    total: float = 0.0
    stretches: int = 0

    def add(self, stretch: Stretch, score: float) -> None:
        self.end, self.total, self.stretches = stretch.end, self.total + score, self.stretches + 1


class Events:
    """The events of some classes, found while the scores come in."""

    def __init__(self, classes: list[str], labels: list[str], rule: Rule):
        """Take the classes in the order of the scores, and the labels whose events to find."""
        self.places = {label: classes.index(label) for label in labels}
        self.rule = rule
        self.open: dict[str, _Open] = {}

    def add(self, stretch: Stretch) -> list[Event]:
        """Add the next stretch, and return the events that ended before it."""
        ended = []
        for label, place in self.places.items():
            score = float(stretch.scores[place])
            if score >= (self.rule.release if label in self.open else self.rule.threshold):
                self.open.setdefault(label, _Open(stretch.start)).add(stretch, score)
            elif label in self.open:
                ended += self._close(label)
        return ended

    def end(self) -> list[Event]:
        """Return the events that last until the end."""
        return [event for label in list(self.open) for event in self._close(label)]

    def _close(self, label: str) -> list[Event]:
        found = self.open.pop(label)
        event = Event(found.start, found.end, label, found.total / found.stretches)
        return [event] if event.end - event.start >= self.rule.min_duration else []
