"""Predictions for a stream of sound while it goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace

from earshot.audio import decode, sources
from earshot.detection.detector import Detector
from earshot.detection.events import Event, Events
from earshot.detection.formats import clock, in_words
from earshot.detection.rule import Rule
from earshot.detection.timeline import Stretch, Timeline
from earshot.files import rounded

LIVE = 1.0  # seconds of a stream that a model of frames waits for, beside its margin, where no hop is given


def follow(
    detector: Detector, name: str, sample_rate: int, channels: int, rule: Rule | Mapping[str, Rule], labels: list[str]
) -> Iterator[Stretch | Event]:
    """Yield each stretch of a stream as soon as the window that begins with it is complete, and events when they end.

    Ctrl-C ends the stream, and open events with it.

    Parameters
    ----------
    name : of the stream, see `audio.sources.following`
    sample_rate, channels : of its sound
    rule, labels : of events, see `events.Events`

    Raises
    ------
    EarshotError
        If the stream can't be read, or ends before the first window does.
    """
    if detector.grid and not detector.hop:
        detector = replace(detector, hop=LIVE)
    timeline, events = Timeline.of(detector), Events(detector.classes, labels, rule)
    blocks = decode.at_rate(sample_rate, sources.following(name, channels), detector.sample_rate)
    for window in detector.windows(blocks, at_once=1, rises=events.snaps):
        yield from _with_events(events, timeline.add(window))
    for stretch in timeline.end():
        yield from _with_events(events, stretch)
    yield from events.end()


def _with_events(events: Events, stretch: Stretch) -> Iterator[Stretch | Event]:
    yield stretch
    yield from events.add(stretch)


def line(found: Stretch | Event, classes: list[str], as_json: bool) -> str:
    """Return a stretch or an event as a line of text or of JSON."""
    facts = asdict(found)
    if isinstance(found, Stretch):
        del facts["rise"]
        facts["scores"] = dict(zip(classes, found.scores.tolist(), strict=True))
    if as_json:
        return json.dumps(rounded({type(found).__name__.lower(): facts}), ensure_ascii=False)
    span = f"{clock(found.start):>11} {clock(found.end):>11}"
    if isinstance(found, Event):
        return f"{span}  event: {found.label} {found.confidence:.3f}"
    return f"{span}  {in_words(facts['scores'].items())}"
