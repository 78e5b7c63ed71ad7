"""Events, from the scores of a timeline."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from earshot.detection.rule import BACK, Rule
from earshot.detection.timeline import Stretch
from earshot.splits.windows import GRID

Rise = tuple[float, float]  # time and height, see `timeline.Stretch`


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
    rises: list[Rise]  # near its start
    end: float = 0.0
    total: float = 0.0
    stretches: int = 0
    active: bool = True

    def add(self, stretch: Stretch, score: float) -> None:
        self.end, self.total, self.stretches = stretch.end, self.total + score, self.stretches + 1
        self.active = True

    def snapped(self, after: float) -> float:
        """Return the time of the greatest rise that is known, within the event and `after`; its start without one."""
        near = [rise for rise in self.rises if after <= rise[0] <= self.end + GRID]
        return max(near, key=lambda rise: rise[1])[0] if near else self.start


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
        self.before: dict[str, deque[tuple[Stretch, float]]] = {}  # what an event that begins may be followed back over
        self.ended: dict[str, float] = {}  # where the last event of each label did
        self.rises: deque[Rise] = deque()
        self.keep = BACK + max((rule.snap + rule.median for rule in self.rules.values()), default=0.0)

    @property
    def snaps(self) -> bool:
        """Whether rises of level are needed."""
        return any(rule.snap for rule in self.rules.values())

    def add(self, stretch: Stretch) -> list[Event]:
        """Add the next stretch, and return the events that are known to have ended before it."""
        ended, hop = [], stretch.end - stretch.start
        self._rise(stretch)
        for label, place in self.places.items():
            if label not in self.medians:
                self.medians[label] = _Median(self.rules[label].half(hop))
                self.before[label] = deque(maxlen=self.rules[label].back(hop))
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
        before = self.before[label]
        if median >= (rule.release if found and found.active else rule.threshold):
            start = before[0][0].start if before else stretch.start
            if found and start - found.end > rule.max_gap + GRID:
                ended = self._close(label)
            if label not in self.open:
                near = [each for each in self.rises if abs(each[0] - start) <= rule.snap + GRID]
                self.open[label] = _Open(start, near)
            for each in [*before, (stretch, score)]:
                self.open[label].add(*each)
            before.clear()
            return ended
        if median >= rule.attack:
            before.append((stretch, score))
        else:
            before.clear()
        if found:
            found.active = False
            if (before[0][0].start if before else stretch.end) - found.end > rule.max_gap + GRID:
                ended = self._close(label)
        return ended

    def _close(self, label: str) -> list[Event]:
        found, rule = self.open.pop(label), self.rules[label]
        start = found.snapped(self.ended.get(label, -math.inf)) if rule.snap else found.start
        self.ended[label] = found.end
        event = Event(start, found.end, label, found.total / found.stretches)
        return [event] if found.end - found.start >= rule.min_duration else []

    def _rise(self, stretch: Stretch) -> None:
        """Keep a rise of level as long as it may be near the start of an event."""
        if stretch.rise is None or not self.snaps:
            return
        self.rises.append(stretch.rise)
        while self.rises[0][0] < stretch.start - self.keep - 1:  # a second, since a rise is not in its stretch exactly
            self.rises.popleft()
        for label, found in self.open.items():
            if abs(stretch.rise[0] - found.start) <= self.rules[label].snap + GRID:
                found.rises.append(stretch.rise)
