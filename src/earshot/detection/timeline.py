"""Scores of consecutive stretches, from windows that overlap."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from earshot.detection.detector import Detector, Window
from earshot.splits.windows import GRID


@dataclass(frozen=True)
class Stretch:
    """A stretch of a sound, in seconds, and the score of each class there: shape (classes,).

    rise : time and height of a rise of level near it, see `detector.Window`
    """

    start: float
    end: float
    scores: np.ndarray
    rise: tuple[float, float] | None = None


class Timeline:
    """The scores of stretches of one hop: the mean over the windows that overlap a stretch.

    A stretch is complete with the last of them, which is the window that starts with it.
    """

    def __init__(self, length: float, hop: float):
        """Take the length of a window and the hop, in seconds."""
        self.hop = hop
        self.recent: deque[Window] = deque(maxlen=max(1, math.ceil(length / hop - GRID)))

    @classmethod
    def of(cls, detector: Detector) -> Timeline:
        """Return the timeline of a detector's windows; frames stand beside each other, none overlaps another."""
        return cls(detector.step if detector.grid else detector.length, detector.step)

    def add(self, window: Window) -> Stretch:
        """Return the stretch that starts where the window does."""
        self.recent.append(window)
        return self._stretch(window.start, window.rise)

    def end(self) -> Iterator[Stretch]:
        """Yield the stretches that are left when there are no more windows."""
        if not self.recent:
            return
        last, most = self.recent[-1], self.recent.maxlen
        for later in range(1, most):
            if len(self.recent) > most - later:
                self.recent.popleft()
            yield self._stretch(last.start + later * self.hop)

    def _stretch(self, start: float, rise: tuple[float, float] | None = None) -> Stretch:
        last = self.recent[-1]
        scores = np.mean([window.probabilities for window in self.recent], axis=0)
        return Stretch(start, min(start + self.hop, last.start + last.seconds), scores, rise)
