"""What a model hears in a soundscape: scores over time, beside the events that are there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from earshot.detection.detector import Detector
from earshot.detection.timeline import Stretch, Timeline
from earshot.metrics.psds import ScoredClip
from earshot.soundscapes.mix import Clip

APART = 1000.0  # seconds between two clips on the axis of time, more than any gap or collar


@dataclass(frozen=True)
class Heard:
    """The scores of one class in clips that follow one another on one axis of time, `APART` seconds between them.

    starts, ends, scores, clips : (T,); of stretches, and the number of the clip that each is in
    events, background : columns clip, start, end, group; see `mix.Clip`
    rises : times and heights of rises of level, (R, 2), in the order of time
    """

    starts: np.ndarray
    ends: np.ndarray
    scores: np.ndarray
    clips: np.ndarray
    events: pd.DataFrame
    background: pd.DataFrame
    rises: np.ndarray

    @property
    def labelled(self) -> np.ndarray:
        """The events that are there, (n, 2)."""
        return self.events[["start", "end"]].to_numpy(dtype=float)

    @property
    def hours(self) -> float:
        """The length of all clips."""
        return float((self.background["end"] - self.background["start"]).sum() / 3600)

    def by_clip(self) -> list[ScoredClip]:
        """Return scores and events clip by clip."""
        return [
            ScoredClip(
                np.append(self.starts[inside], self.ends[inside][-1]),
                self.scores[inside, None],
                [self.labelled[self.events["clip"].to_numpy() == clip]],
            )
            for clip in np.unique(self.clips)
            for inside in [self.clips == clip]
        ]


def hear(detector: Detector, mixed: Iterable[Clip], label: str) -> Heard:
    """Have a model score clips, and return the scores of one class.

    Raises
    ------
    EarshotError
        If a clip is shorter than the model's window.
    """
    place, begin = detector.classes.index(label), 0.0
    rows: list[tuple[float, float, float, int]] = []
    rises: list[tuple[float, float]] = []
    events, background = [], []
    for number, clip in enumerate(mixed):
        for stretch in stretches(detector, clip.samples):
            rows.append((begin + stretch.start, begin + stretch.end, float(stretch.scores[place]), number))
            rises += [(begin + stretch.rise[0], stretch.rise[1])] if stretch.rise else []
        for tables, table in ((events, clip.events), (background, clip.background)):
            tables.append(table.assign(clip=number, start=begin + table["start"], end=begin + table["end"]))
        begin += len(clip.samples) / detector.sample_rate + APART
    starts, ends, scores, clips = map(np.array, zip(*rows, strict=True))
    there, beside = (pd.concat(found, ignore_index=True) for found in (events, background))
    risen = np.array(sorted(rises), dtype=float).reshape(-1, 2)
    return Heard(starts, ends, scores, clips, there, beside, risen)


def stretches(detector: Detector, samples: np.ndarray) -> Iterable[Stretch]:
    """Yield the scores of consecutive stretches of a sound, of `detector.step` seconds each, and rises of its level."""
    timeline = Timeline.of(detector)
    for window in detector.windows([samples], rises=True):
        yield timeline.add(window)
    yield from timeline.end()
