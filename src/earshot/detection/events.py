"""Events, from the scores of a timeline."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from earshot.detection.rule import Rule
from earshot.detection.timeline import Stretch
from earshot.splits.windows import GRID


@dataclass(frozen=True)
class Event:
    """A class that was detected from `start` to `end` (seconds); confidence: the mean of its scores."""

    start: float
    end: float
    label: str
    confidence: float


@dataclass
class _Open:
    """An event that has not ended yet, or after which another may follow so soon that the two are one."""

    start: float
    end: float = 0.0
    total: float = 0.0
    stretches: int = 0
    active: bool = True

    def add(self, stretch: Stretch, score: float) -> None:
        self.end, self.total, self.stretches = stretch.end, self.total + score, self.stretches + 1
        self.active = True


class _Median:
    """The median of each score, of those around it, as soon as they are known."""

    def __init__(self, half: int):
        self.half = half
        self.around: deque[float] = deque(maxlen=2 * half + 1)
        self.waiting: deque[tuple[Stretch, float]] = deque()

    def add(self, stretch: Stretch, score: float) -> list[tuple[Stretch, float, float]]:
        """Add the next score; return stretch, score and median of what is known now."""
        self.around.append(score)
        self.waiting.append((stretch, score))
        return [self._next()] if len(self.waiting) > self.half else []

    def end(self) -> list[tuple[Stretch, float, float]]:
        """Return what is left when there are no more scores."""
        found = []
        while self.waiting:
            while len(self.around) > self.half + len(self.waiting):
                self.around.popleft()
            found.append(self._next())
        return found

    def _next(self) -> tuple[Stretch, float, float]:
        return (*self.waiting.popleft(), float(np.median(self.around)))


class Events:
    """The events of some classes, found while the scores come in."""

    def __init__(self, classes: list[str], labels: list[str], rule: Rule | Mapping[str, Rule]):
        """Take the classes in the order of the scores, the labels whose events to find, and their rule or rules."""
        self.places = {label: classes.index(label) for label in labels}
        self.rules = dict.fromkeys(labels, rule) if isinstance(rule, Rule) else {name: rule[name] for name in labels}
        self.medians: dict[str, _Median] = {}
        self.open: dict[str, _Open] = {}

    def add(self, stretch: Stretch) -> list[Event]:
        """Add the next stretch, and return the events that are known to have ended before it."""
        ended = []
        for label, place in self.places.items():
            if label not in self.medians:
                self.medians[label] = _Median(self.rules[label].half(stretch.end - stretch.start))
            for known in self.medians[label].add(stretch, float(stretch.scores[place])):
                ended += self._add(label, *known)
        return ended

    def end(self) -> list[Event]:
        """Return the events that last until the end."""
        ended = []
        for label, median in self.medians.items():
            for known in median.end():
                ended += self._add(label, *known)
        return ended + [event for label in list(self.open) for event in self._close(label)]

    def _add(self, label: str, stretch: Stretch, score: float, median: float) -> list[Event]:
        rule, found, ended = self.rules[label], self.open.get(label), []
        if median >= (rule.release if found and found.active else rule.threshold):
            if found and stretch.start - found.end > rule.max_gap + GRID:
                ended = self._close(label)
            self.open.setdefault(label, _Open(stretch.start)).add(stretch, score)
        elif found:
            found.active = False
            if stretch.end - found.end > rule.max_gap + GRID:
                ended = self._close(label)
        return ended

    def _close(self, label: str) -> list[Event]:
        found = self.open.pop(label)
        event = Event(found.start, found.end, label, found.total / found.stretches)
        return [event] if event.end - event.start >= self.rules[label].min_duration else []
