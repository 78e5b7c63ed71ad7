"""The rule for when an event begins and ends.

Kept separate from the events because the command line shows its defaults and must not import NumPy for them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from earshot.errors import EarshotError

BACK = 5.0  # seconds


@dataclass(frozen=True)
class Rule:
    """How scores become events: smoothed, by hysteresis thresholds, joined over gaps, and long enough.

    threshold : the score at which an event begins
    release : the score below which it ends
    min_duration : in seconds; shorter events are dropped, after events were joined
    max_gap : in seconds; events with no more than that between them are one
    median : in seconds; scores are first replaced by their median over so long, as far as there are scores
    attack : the score down to which the beginning of an event is followed back, for `BACK` seconds at most; from the
        threshold up: not at all
    snap : in seconds; an event begins at the greatest rise of the sound's level this far from where scores have it
        begin, see `audio.rise`; 0: where scores have it
    """

    threshold: float = 0.5
    release: float = 0.4
    min_duration: float = 0.0
    max_gap: float = 0.0
    median: float = 0.0
    attack: float = 1.0
    snap: float = 0.0

    def __post_init__(self):
        if not 0 <= self.release <= self.threshold <= 1:
            raise EarshotError(
                f"release ({self.release:g}) must not be above threshold ({self.threshold:g}); both lie within 0 and 1"
            )
        if not 0 <= self.attack <= 1:
            raise EarshotError(f"attack ({self.attack:g}) must lie within 0 and 1")
        for name in ("max_gap", "median", "snap"):
            if not 0 <= getattr(self, name) < math.inf:
                raise EarshotError(f"{name} ({getattr(self, name):g}) must be a number of seconds, 0 or more")

    def back(self, hop: float) -> int:
        """Return how many scores, of `hop` seconds each, the beginning of an event is followed back at most."""
        return int(BACK / hop + 1e-6) if self.attack < self.threshold else 0

    def half(self, hop: float) -> int:
        """Return how many scores before and after one, of `hop` seconds each, the median is taken over besides it."""
        return int(self.median / hop / 2 + 1e-6)


def rules_of(settings: Mapping[str, Any], **given: float | None) -> dict[str, Rule]:
    """Return the rule of each class of a model: of its operating point the chosen one, of the others its default.

    Parameters
    ----------
    settings : of the trained model; `rule` in them is its default
    given : what to use instead for every class, by the names of `Rule`; None leaves it as it is
    """
    point, default = settings.get("operating_point"), settings.get("rule") or asdict(Rule())
    instead = {name: value for name, value in given.items() if value is not None}
    return {
        label: Rule(**(point["rule"] if point and label == point["label"] else default) | instead)
        for label in settings["classes"]
    }


def point_of(settings: Mapping[str, Any]) -> dict[str, float]:
    """Return the rule of a model's operating point by its names, or the default one."""
    return asdict(Rule(**settings["operating_point"]["rule"]) if "operating_point" in settings else Rule())
