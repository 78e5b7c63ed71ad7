"""The rule for when an event begins and ends.

Kept separate from the events because the command line shows its defaults and must not import NumPy for them.
"""

from __future__ import annotations

from dataclasses import dataclass

from earshot.errors import EarshotError


@dataclass(frozen=True)
class Rule:
    """Hysteresis thresholds and the minimum duration of an event.

    threshold : the score at which an event begins
    release : the score below which it ends
    min_duration : in seconds; shorter events are dropped
    """

    threshold: float = 0.5
    release: float = 0.4
    min_duration: float = 0.0

    def __post_init__(self):
        if not 0 <= self.release <= self.threshold <= 1:
            raise EarshotError(
                f"release ({self.release:g}) must not be above threshold ({self.threshold:g}); both lie within 0 and 1"
            )
