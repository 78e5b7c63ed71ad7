"""The result of a model on one sound: scores of the whole sound, and its events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from earshot.detection.detector import Detector, Window
from earshot.detection.events import Event, Events
from earshot.detection.rule import Rule
from earshot.detection.timeline import Timeline


@dataclass(frozen=True)
class Answer:
    """The result on one sound.

    seconds : the length, up to the end of the last window
    windows : the number of windows
    scores : of each class, the mean over all windows
    events : in the order of their starts
    """

    seconds: float
    windows: int
    scores: dict[str, float]
    events: list[Event]

    @property
    def label(self) -> str:
        """The class with the highest score."""
        return max(self.scores, key=self.scores.__getitem__)


def answer(
    detector: Detector,
    blocks: Iterable[np.ndarray],
    rule: Rule | Mapping[str, Rule],
    labels: list[str],
    on_window: Callable[[Window], None] = lambda _: None,
) -> Answer:
    """Run a model over a whole sound; memory does not grow with its length.

    Parameters
    ----------
    blocks : mono at the detector's sample rate, float32, shape (samples,)
    rule, labels : of events, see `events.Events`
    on_window : called with each window

    Raises
    ------
    EarshotError
        If the sound is shorter than a window, or the model returns values that are not finite.
    """
    timeline, events = Timeline.of(detector), Events(detector.classes, labels, rule)
    total, n, seconds, found = np.zeros(len(detector.classes)), 0, 0.0, []
    for window in detector.windows(blocks, rises=events.snaps):
        on_window(window)
        total, n, seconds = total + window.probabilities.astype(np.float64), n + 1, window.start + window.seconds
        found += events.add(timeline.add(window))
    for stretch in timeline.end():
        found += events.add(stretch)
    found += events.end()
    scores = dict(zip(detector.classes, (total / n).tolist(), strict=True))
    return Answer(seconds, n, scores, sorted(found, key=lambda event: (event.start, event.label)))
