"""The operating point of a model: the rule with the highest recall within a budget of false alarms, on validation.

It is chosen on a soundscape of the validation part of the model's own fold, and is stored with the model.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from earshot.detection.decoding import decoded, smoothed
from earshot.detection.rule import Rule
from earshot.metrics import event_rates, events
from earshot.soundscapes.hear import Heard

Value = tuple[float, float, float, float]

LOGITS = [*np.linspace(-4, 12, 33), np.inf]  # of thresholds: from 0.02 to 1, closer where a budget asks for it
BELOW = (0.0, 1.0, 2.0)  # logits from threshold to release
ATTACKS = (0.0, 2.0, 4.0)  # logits from threshold to attack
SNAPS = (0.0, 0.5, 1.0, 1.5)  # seconds
DURATIONS = (0.0, 1.0, 2.0, 3.0)  # seconds
GAPS = (0.0, 1.0, 2.0)  # seconds
MEDIANS = (1, 3, 5)  # scores
MEDIAN_SECONDS = (0.8, 1.6)  # where scores are closer


def rules(step: float, margin: float) -> Iterator[tuple[Rule, Rule]]:
    """Yield the rules that are tried, those of one median together, for scores of `step` seconds.

    Returns
    -------
    Each with the one that is alike but for its thresholds, which are `margin` logits lower
    """
    for n, logit, below, attack in itertools.product(_medians(step), LOGITS, BELOW, ATTACKS):
        for duration, gap in itertools.product(DURATIONS, GAPS):
            rest = (duration, gap, n * step if n > 1 else 0.0)
            yield _rule(logit, below, attack, *rest), _rule(logit - margin, below, attack, *rest)


def _rule(logit: float, below: float, attack: float, duration: float, gap: float, median: float) -> Rule:
    threshold, release, attack = (float(np.round(1 / (1 + np.exp(x - logit)), 6)) for x in (0.0, below, attack))
    return Rule(threshold, release, duration, gap, median, attack if attack < threshold else 1.0)


def _medians(step: float) -> list[int]:
    """Return over how many scores of `step` seconds medians are taken: odd numbers, 1 for none."""
    if step * MEDIANS[1] >= MEDIAN_SECONDS[0]:
        return [*MEDIANS]
    return [1, *(2 * round(seconds / step / 2) + 1 for seconds in MEDIAN_SECONDS)]


def choose(heard: Heard, step: float, most: float, margin: float) -> Rule:
    """Return the rule that misses the fewest events with no more than `most` false alarms per hour.

    It keeps to the budget with thresholds that are lower by `margin` logits, too: an hour of validation holds few
    sources, and the rule that just keeps to the budget there is the luckiest of thousands. Of those alike the one with
    the best onsets: the highest mean of the F1 within each collar; then with the fewest false alarms. Where none keeps
    to the budget, that with the fewest false alarms. How far onsets snap to a rise of level is chosen last.
    """
    worst = (-np.inf, 0.0, 0.0, 0.0)
    never = Rule(1.0, 1.0)
    best, pair = _best(heard, step, most, rules(step, margin), (worst, (never, never)))
    snapping = (tuple(replace(rule, snap=snap) for rule in pair) for snap in SNAPS)
    return _best(heard, step, most, snapping, (best, pair))[1][0]


def _best(
    heard: Heard, step: float, most: float, tried: Iterable[tuple[Rule, ...]], so_far: tuple[Value, tuple[Rule, ...]]
) -> tuple[Value, tuple[Rule, ...]]:
    """Return the best of some rules and one that is known, with what makes it so."""
    labelled, allowed = heard.labelled, most * heard.hours
    best, chosen = so_far
    halves: dict[int, np.ndarray] = {}
    known: dict[Rule, float] = {}  # false alarms: a rule is the lower one of another as well

    def events_of(rule: Rule) -> tuple[np.ndarray, np.ndarray]:
        half = rule.half(step)
        if half not in halves:
            halves[half] = _smoothed(heard, half)
        found = decoded(heard.starts, heard.ends, halves[half], rule, heard.rises)
        met, right = events.meeting(labelled, found)
        known[rule] = float((~right).sum())
        return found, met

    for rule, lower in tried:
        found, met = events_of(rule)
        if best[0] == 0 and met.sum() < best[1]:  # spares looking at the lower one
            continue
        if lower not in known:
            events_of(lower)
        first = (min(allowed - max(known[rule], known[lower]), 0.0), float(met.sum()))
        if first < best[:2]:
            continue
        value = (*first, _onsets(labelled, found), -known[rule])
        if value > best:
            best, chosen = value, (rule, lower)
    return best, chosen


def _onsets(labelled: np.ndarray, found: np.ndarray) -> float:
    """Return the mean over the collars of the onsets' F1."""
    right = [events.within_collar(labelled, found, collar).sum() for collar in event_rates.COLLARS]
    return float(np.mean([events.f1(n, len(found) - n, len(labelled) - n) for n in right]))


def events_by(rule: Rule, heard: Heard, step: float) -> np.ndarray:
    """Return the events that a rule finds in scores: (n, 2)."""
    return decoded(heard.starts, heard.ends, _smoothed(heard, rule.half(step)), rule, heard.rises)


def _smoothed(heard: Heard, half: int) -> np.ndarray:
    firsts = np.flatnonzero(np.diff(heard.clips)) + 1
    return np.concatenate([smoothed(scores, half) for scores in np.split(heard.scores, firsts)])


def point(heard: Heard, label: str, step: float, most: float, margin: float) -> dict[str, Any]:
    """Choose the operating point; return it as a model's config.json holds it.

    Returns
    -------
    `label`, `step` (seconds from score to score), `rule` (see `detection.rule.Rule`), the budget as
    `max_false_alarms_per_hour` with its `margin` in logits, and what the rule gives on the validation part, which it
    was chosen on: `events`, `hours`, `recall` and `false_alarms_per_hour`, both with their interval
    """
    rule = choose(heard, step, most, margin)
    rates = event_rates.rates(event_rates.table(heard.events, events_by(rule, heard, step), heard.background))
    names = [name + end for name in ("recall", "false_alarms_per_hour") for end in ("", "_low", "_high")]
    told = {name: rates[name] for name in ("events", "hours", *names)}
    return {
        "label": label,
        "step": step,
        "rule": asdict(rule),
        "max_false_alarms_per_hour": most,
        "margin": margin,
        **{name: None if value is None else round(value, 6) for name, value in told.items()},
    }
