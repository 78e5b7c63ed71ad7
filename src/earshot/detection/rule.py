"""The rule by which an event begins and ends.

It stands apart from `events`, which imports PyTorch: the command line takes its defaults from here.
"""

from __future__ import annotations

from dataclasses import dataclass

from earshot.errors import EarshotError


@dataclass(frozen=True)
class Rule:
    """Hysteresis thresholds and the minimum duration of an event.

    threshold : an event begins where the score reaches it
    release : an event ends where the score falls below it
    min_duration : seconds; shorter events are dropped
    """

    threshold: float = 0.5
    release: float = 0.4
    min_duration: float = 0.0

    def __post_init__(self):
        if not 0 <= self.release <= self.threshold <= 1:
            raise EarshotError(
                f"release ({self.release:g}) must not be above threshold ({self.threshold:g}); both lie within 0 and 1"
            )
