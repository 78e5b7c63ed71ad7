"""The operating point of a model: the rule with the highest recall within a budget of false alarms, on validation.

It is chosen on a soundscape of the validation part of the model's own fold, and is stored with the model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from earshot.detection.decoding import decoded, smoothed
from earshot.detection.rule import Rule
from earshot.metrics import event_rates, events
from earshot.soundscapes.hear import Heard

LOGITS = [*np.linspace(-4, 12, 33), np.inf]  # of thresholds: from 0.02 to 1, closer where a budget asks for it
BELOW = (0.0, 1.0, 2.0)  # logits from threshold to release
DURATIONS = (0.0, 1.0, 2.0, 3.0)  # seconds
GAPS = (0.0, 1.0, 2.0)  # seconds
MEDIANS = (1, 3, 5)  # scores
COLLAR = 1.0  # seconds, for the onsets that decide between rules with the same recall


def rules(step: float) -> Iterator[Rule]:
    """Yield the rules that are tried, those of one median together, for scores of `step` seconds."""
    for n in MEDIANS:
        for logit in LOGITS:
            for below in BELOW:
                limits = [float(np.round(1 / (1 + np.exp(-x)), 6)) for x in (logit, logit - below)]
                for duration in DURATIONS:
                    for gap in GAPS:
                        yield Rule(limits[0], limits[1], duration, gap, n * step if n > 1 else 0.0)


def choose(heard: Heard, step: float, most: float) -> Rule:
    """Return the rule that misses the fewest events with no more than `most` false alarms per hour.

    Of those alike the one with the highest F1 of onsets within a second, then with the fewest false alarms. Where none
    keeps to the budget, that with the fewest false alarms.
    """
    labelled, allowed = heard.labelled, most * heard.hours
    best, chosen = (-np.inf, 0.0, 0.0, 0.0), Rule(1.0, 1.0)
    halves: dict[int, np.ndarray] = {}
    for rule in rules(step):
        half = rule.half(step)
        if half not in halves:
            halves[half] = _smoothed(heard, half)
        found = decoded(heard.starts, heard.ends, halves[half], rule)
        met, right = events.meeting(labelled, found)
        false = float((~right).sum())
        first = (min(allowed - false, 0.0), float(met.sum()))
        if first < best[:2]:
            continue
        onsets = events.within_collar(labelled, found, COLLAR).sum()
        value = (*first, events.f1(onsets, len(found) - onsets, len(labelled) - onsets), -false)
        if value > best:
            best, chosen = value, rule
    return chosen


def events_by(rule: Rule, heard: Heard, step: float) -> np.ndarray:
    """Return the events that a rule finds in scores: (n, 2)."""
    return decoded(heard.starts, heard.ends, _smoothed(heard, rule.half(step)), rule)


def _smoothed(heard: Heard, half: int) -> np.ndarray:
    firsts = np.flatnonzero(np.diff(heard.clips)) + 1
    return np.concatenate([smoothed(scores, half) for scores in np.split(heard.scores, firsts)])


def point(heard: Heard, label: str, step: float, most: float) -> dict[str, Any]:
    """Choose the operating point; return it as a model's config.json holds it.

    Returns
    -------
    `label`, `step` (seconds from score to score), `rule` (see `detection.rule.Rule`), the budget as
    `max_false_alarms_per_hour`, and what the rule gives on the validation part, which it was chosen on: `events`,
    `hours`, `recall` and `false_alarms_per_hour`, both with their interval
    """
    rule = choose(heard, step, most)
    rates = event_rates.rates(event_rates.table(heard.events, events_by(rule, heard, step), heard.background))
    names = [name + end for name in ("recall", "false_alarms_per_hour") for end in ("", "_low", "_high")]
    told = {name: rates[name] for name in ("events", "hours", *names)}
    return {
        "label": label,
        "step": step,
        "rule": asdict(rule),
        "max_false_alarms_per_hour": most,
        **{name: None if value is None else round(value, 6) for name, value in told.items()},
    }
