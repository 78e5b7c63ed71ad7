"""The polyphonic sound detection score (PSDS), which needs no threshold: it is of the scores themselves.

Bilen et al. 2020 ("A Framework for the Robust Evaluation of Sound Event Detection", ICASSP) define it. It is computed
exactly, from every score that occurs as a threshold, as Ebbers et al. 2022 do ("Threshold-Independent Evaluation of
Sound Event Detection Scores", ICASSP; their sed_scores_eval gives the same values, see benchmarks/psds.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from earshot.metrics.events import EXACT, overlaps

SECONDS_PER_HOUR = 3600
AT_ONCE = 2**22  # thresholds times stretches; changes nothing but memory


@dataclass(frozen=True)
class Psds:
    """The parameters of a PSDS.

    dtc, gtc : see `events.intersecting`
    cttc : the share of an irrelevant detected event that events of another class cover, for it to be a cross trigger
    alpha_ct : the weight of cross triggers beside false alarms
    alpha_st : the weight of the deviation between classes
    e_max : false alarms per hour up to which the curve counts
    """

    dtc: float
    gtc: float
    cttc: float
    alpha_ct: float
    alpha_st: float
    e_max: float = 100.0


PSDS1 = Psds(dtc=0.7, gtc=0.7, cttc=0.3, alpha_ct=0.0, alpha_st=1.0)  # of DCASE's task 4: when it sounds
PSDS2 = Psds(dtc=0.1, gtc=0.1, cttc=0.3, alpha_ct=0.5, alpha_st=1.0)  # and: what it is


@dataclass(frozen=True)
class ScoredClip:
    """The scores of a clip, and its labelled events.

    edges : (T + 1,) in seconds, of T stretches one after another: windows' hops or frames
    scores : (T, C)
    events : of each class (n, 2), starts and ends in seconds
    """

    edges: np.ndarray
    scores: np.ndarray
    events: Sequence[np.ndarray]


@dataclass(frozen=True)
class Counts:
    """Of one class: what changes where the threshold falls to each score; a row for each clip and score in it.

    clips, thresholds : (N,)
    found, irrelevant : labelled events found and detected ones that are irrelevant, more (or fewer) than before: (N,)
    crossed : cross triggers with each class: (N, C)
    """

    clips: np.ndarray
    thresholds: np.ndarray
    found: np.ndarray
    irrelevant: np.ndarray
    crossed: np.ndarray


def counts(clips: Sequence[ScoredClip], number: int, setting: Psds) -> Counts:
    """Return the counts of class `number` over the thresholds of all clips."""
    parts: list[list[np.ndarray]] = []
    for place, clip in enumerate(clips):
        thresholds = np.unique(clip.scores[:, number])[::-1]
        rows = np.vstack([_at(clip, number, some, setting) for some in _batches(thresholds, len(clip.scores))])
        parts.append([np.full(len(thresholds), place), thresholds, np.diff(rows, axis=0, prepend=0)])
    which, thresholds, changes = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Counts(which, thresholds, changes[:, 0], changes[:, 1], changes[:, 2:])


def _batches(thresholds: np.ndarray, stretches: int) -> Iterator[np.ndarray]:
    size = max(1, AT_ONCE // stretches)
    for first in range(0, len(thresholds), size):
        yield thresholds[first : first + size]


def _at(clip: ScoredClip, number: int, thresholds: np.ndarray, setting: Psds) -> np.ndarray:
    """Return a row for each threshold: events found, irrelevant detected ones, and cross triggers with each class."""
    on = np.pad(clip.scores[:, number] >= thresholds[:, None], ((0, 0), (1, 1))).astype(np.int8)
    change = np.diff(on, axis=1)
    row, first = np.nonzero(change == 1)
    _, stop = np.nonzero(change == -1)
    detected = np.column_stack([clip.edges[first], clip.edges[stop]])
    lengths = detected[:, 1] - detected[:, 0]
    labelled = clip.events[number]
    shared = overlaps(detected, labelled)
    relevant = shared.sum(axis=1) >= setting.dtc * lengths - EXACT
    covered = np.zeros((len(thresholds), len(labelled)))
    np.add.at(covered, row[relevant], shared[relevant])
    found = (covered >= setting.gtc * (labelled[:, 1] - labelled[:, 0]) - EXACT).sum(axis=1)
    result = np.zeros((len(thresholds), 2 + len(clip.events)))
    result[:, 0] = found
    result[:, 1] = np.bincount(row[~relevant], minlength=len(thresholds))
    for other, events in enumerate(clip.events):
        if other != number and len(events):
            cross = ~relevant & (overlaps(detected, events).sum(axis=1) >= setting.cttc * lengths - EXACT)
            result[:, 2 + other] = np.bincount(row[cross], minlength=len(thresholds))
    return result


def curve(
    counted: Counts, number: int, clips: Sequence[ScoredClip], setting: Psds, times: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the effective false alarms per hour (rising) and the share of events found up to there, of one class.

    Parameters
    ----------
    times : how often each clip counts, by default once
    """
    times = np.ones(len(clips)) if times is None else times
    order = np.argsort(-counted.thresholds, kind="stable")
    last = np.append(np.diff(counted.thresholds[order]) != 0, True)  # scores that several clips have are one threshold
    weight = times[counted.clips[order]]

    def total(changes: np.ndarray) -> np.ndarray:
        return (changes[order].T * weight).T.cumsum(axis=0)[last]

    seconds, events = _sizes(clips, times)
    rate = total(counted.irrelevant) / seconds.sum()
    others = [other for other in range(len(events)) if other != number]
    if setting.alpha_ct and others:
        crossed = total(counted.crossed)[:, others] / np.maximum(events[others, 1], 1e-12)
        rate = rate + setting.alpha_ct * crossed.mean(axis=1)
    share = total(counted.found) / max(events[number, 0], 1)
    rate = rate * SECONDS_PER_HOUR
    best = np.lexsort([share, rate])
    rate, share = rate[best], np.maximum.accumulate(share[best])
    kept = np.append(np.diff(rate) > 0, True) & (rate <= setting.e_max)
    return rate[kept], share[kept]


def _sizes(clips: Sequence[ScoredClip], times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the seconds of each clip, and of each class how many events there are and their seconds: (C, 2)."""
    seconds = times * [clip.edges[-1] - clip.edges[0] for clip in clips]
    each = [[(len(events), float((events[:, 1] - events[:, 0]).sum())) for events in clip.events] for clip in clips]
    return seconds, np.tensordot(times, np.array(each, dtype=float), axes=1)


def area(curves: Sequence[tuple[np.ndarray, np.ndarray]], setting: Psds) -> float:
    """Return the PSDS of the curves of all classes: the area under their mean less their deviation, up to `e_max`."""
    rates = np.unique(np.concatenate([np.zeros(1), *(rate for rate, _ in curves)]))
    shares = []
    for rate, share in curves:
        steps = np.searchsorted(rate, rates, side="right")
        shares.append(np.concatenate([np.zeros(1), share])[steps])
    effective = np.maximum(np.mean(shares, axis=0) - setting.alpha_st * np.std(shares, axis=0), 0)
    return float((effective * np.diff(np.append(rates, setting.e_max))).sum() / setting.e_max)


def psds(clips: Sequence[ScoredClip], setting: Psds) -> float:
    """Return the PSDS of clips, which all have the same classes: from 0 to 1."""
    numbers = range(len(clips[0].events))
    return area([curve(counts(clips, n, setting), n, clips, setting) for n in numbers], setting)
