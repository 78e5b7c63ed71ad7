"""Scores of events: collars, intersections and PSDS, against the values of sed_eval and sed_scores_eval."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from earshot.metrics import events, psds
from earshot.metrics.psds import PSDS1, PSDS2, ScoredClip

SECONDS, STEP = 60.0, 0.5


def drawn(seed: int, n_classes: int, n_clips: int = 40) -> list[ScoredClip]:
    """Draw clips as benchmarks/psds.py does, which prints the values of the libraries below."""
    rng = np.random.default_rng(seed)
    clips = []
    for _ in range(n_clips):
        edges = np.arange(0, SECONDS + STEP / 2, STEP)
        labelled = []
        for _ in range(n_classes):
            start = np.arange(rng.integers(0, 3)) * 25 + rng.uniform(0, 10)
            labelled.append(np.column_stack([start, start + rng.uniform(2, 14, len(start))]).round(2) + 0.003)
        middle = (edges[1:] + edges[:-1]) / 2
        inside = np.column_stack(
            [((middle[:, None] >= e[:, 0]) & (middle[:, None] < e[:, 1])).any(axis=1) for e in labelled]
        )
        noise = np.convolve(rng.normal(size=len(middle) * n_classes), np.ones(5) / 2, "same").reshape(inside.shape)
        clips.append(ScoredClip(edges, (1 / (1 + np.exp(3 - 4 * inside - 1.5 * noise))).round(2), labelled))
    return clips


def detected(clip: ScoredClip, threshold: float = 0.5) -> np.ndarray:
    change = np.diff(np.pad(clip.scores[:, 0] > threshold, 1).astype(int))
    return np.column_stack([clip.edges[np.flatnonzero(change == 1)], clip.edges[np.flatnonzero(change == -1)]])


@pytest.mark.parametrize(
    ("seed", "n_classes", "first", "second"),
    [
        (0, 1, 0.346511627907, 0.936976744186),
        (1, 3, 0.070656822630, 0.910356525306),
        (2, 3, 0.041520716256, 0.899236145628),
    ],
)
def test_psds_is_that_of_sed_scores_eval(seed, n_classes, first, second):
    clips = drawn(seed, n_classes)
    assert psds.psds(clips, PSDS1) == pytest.approx(first, abs=1e-9)
    assert psds.psds(clips, PSDS2) == pytest.approx(second, abs=1e-9)


@pytest.mark.parametrize(
    ("collar", "offset_share", "value"),
    [
        (0.2, None, 0.223300970874),
        (0.2, events.OFFSET_SHARE, 0.116504854369),
        (1.0, None, 0.359223300971),
        (1.0, events.OFFSET_SHARE, 0.184466019417),
    ],
)
def test_the_f1_with_a_collar_is_that_of_sed_eval(collar, offset_share, value):
    numbers = np.zeros(3)
    for clip in drawn(0, 1):
        ours = detected(clip)
        found = events.within_collar(clip.events[0], ours, collar, offset_share).sum()
        numbers += found, len(ours) - found, len(clip.events[0]) - found
    assert events.f1(*numbers) == pytest.approx(value, abs=1e-9)


def test_the_f1_of_intersections_is_that_of_sed_scores_eval():
    numbers = np.zeros(3)
    for clip in drawn(0, 1):
        found, relevant = events.intersecting(clip.events[0], detected(clip), 0.5, 0.5)
        numbers += found.sum(), (~relevant).sum(), (~found).sum()
    assert events.f1(*numbers) == pytest.approx(0.506493506494, abs=1e-9)


def test_as_many_events_are_matched_as_can_be():
    labelled = np.array([[0.0, 5.0], [0.9, 6.0]])
    ours = np.array([[0.8, 5.0], [1.8, 6.0]])  # the first is nearer to the second event, and found for the first one
    assert events.within_collar(labelled, ours, 1.0).all()
    assert not events.within_collar(labelled, ours[:0], 1.0).any()
    assert events.within_collar(labelled, ours[:1], 1.0).sum() == 1  # one event is found once


def test_events_that_meet_and_those_that_do_not():
    labelled, ours = np.array([[0.0, 2.0], [10.0, 12.0]]), np.array([[2.0, 3.0], [11.5, 20.0], [30.0, 31.0]])
    met, right = events.meeting(labelled, ours)
    assert met.tolist() == [False, False] and right.tolist() == [False, False, False]  # 0.5 of 8.5 s are no quarter
    met, right = events.meeting(labelled, np.array([[1.9, 2.2], [11.5, 12.5], [30.0, 31.0]]))
    assert met.all() and right.tolist() == [True, True, False]


def test_an_alarm_that_never_ends_finds_nothing():
    met, right = events.meeting(np.array([[10.0, 20.0], [50.0, 60.0]]), np.array([[0.0, 100.0]]))
    assert not met.any() and not right.any()


def test_perfect_scores_have_a_psds_of_one_and_constant_ones_of_none():
    truth = np.array([[10.0, 20.0]])
    edges = np.arange(0, 61.0)
    scores = np.zeros((60, 1))
    scores[10:20] = 1
    assert psds.psds([ScoredClip(edges, scores, [truth])], PSDS1) == 1
    assert psds.psds([ScoredClip(edges, np.full((60, 1), 0.5), [truth])], PSDS1) == 0


@pytest.mark.parametrize("setting", [PSDS1, PSDS2])
def test_a_clip_that_counts_twice_is_two_clips(setting):
    clips = drawn(3, 2, 6)
    times = np.array([2, 0, 1, 1, 3, 1])
    copies = list(itertools.chain.from_iterable([clip] * n for clip, n in zip(clips, times, strict=True)))
    curves = [psds.curve(psds.counts(clips, n, setting), n, clips, setting, times) for n in range(2)]
    assert psds.area(curves, setting) == pytest.approx(psds.psds(copies, setting), abs=1e-12)


def test_thresholds_in_batches_give_the_same(monkeypatch):
    clips = drawn(4, 2, 5)
    whole = psds.psds(clips, PSDS2)
    monkeypatch.setattr(psds, "AT_ONCE", 500)
    assert psds.psds(clips, PSDS2) == whole


def test_the_order_of_scores_alone_decides():
    clips = drawn(5, 1, 8)
    squared = [replace(clip, scores=clip.scores**2) for clip in clips]
    assert psds.psds(squared, PSDS1) == psds.psds(clips, PSDS1)
