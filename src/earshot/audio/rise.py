"""Where a sound begins: the greatest rise of its level.

A difference of levels before and after, band by band, as in spectral flux (Bello et al. 2005, "A Tutorial on Onset
Detection in Music Signals"), but of means over a fifth of a second, so that a click is less than what goes on.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from earshot.audio import spectrum

FRAME, HOP = 0.04, 0.02  # seconds
BANDS = 40
BESIDE = 10  # frames before and after that are compared
FLOOR = -70.0  # dB of full scale; what is quieter is silence
BEFORE = BESIDE * HOP  # seconds at the beginning in which no rise is looked for


def seconds_for(seconds: float) -> float:
    """Return how long a sound must be so that rises are looked for in `seconds` of it."""
    return 2 * BEFORE + seconds + FRAME


def greatest(samples: np.ndarray, sample_rate: int, seconds: float) -> tuple[float, float] | None:
    """Return time and height of the greatest rise from `BEFORE` on, in so many seconds or as many as there are.

    Parameters
    ----------
    samples : mono, float32, full scale 1, shape (n,)
    seconds : how long rises are looked for

    Returns
    -------
    Seconds from the first sample, and the mean over the bands by how many dB each became louder; None of a sound that
    is too short to tell
    """
    rises = _rises(samples[: round(seconds_for(seconds) * sample_rate)], sample_rate)
    if not len(rises):
        return None
    rises = rises[: max(1, math.ceil(seconds / HOP - 1e-6))]
    best = int(rises.argmax())
    return _time(best), float(rises[best])


def of_each(
    samples: np.ndarray, sample_rate: int, step: float, first: int, stop: int
) -> list[tuple[float, float] | None]:
    """Return the greatest rise in each of the stretches from `first` to `stop`, each of `step` seconds.

    Returns
    -------
    As `greatest`; None of a stretch in which none is looked for: at the ends of the samples
    """
    rises = _rises(samples, sample_rate)
    places = ((_time(np.arange(len(rises))) + 1e-9) // step).astype(int)
    found: list[tuple[float, float] | None] = []
    for place in range(first, stop):
        begin, end = np.searchsorted(places, [place, place + 1])
        best = begin + int(rises[begin:end].argmax()) if end > begin else None
        found.append(None if best is None else (_time(best), float(rises[best])))
    return found


def _rises(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return by how many dB bands become louder on average at each time, see `_time`; nothing of too short a sound."""
    n_fft, hop = round(FRAME * sample_rate), round(HOP * sample_rate)
    if len(samples) < n_fft + (2 * BESIDE - 1) * hop:
        return np.empty(0)
    frames = spectrum.windowed(samples, spectrum.hann(n_fft, np.float32), hop)
    power = np.square(spectrum.magnitude(frames))
    levels = np.maximum(spectrum.decibels(spectrum.mel(power, sample_rate, n_fft, BANDS)), FLOOR)
    total = np.cumsum(np.pad(levels, ((1, 0), (0, 0))), axis=0, dtype=float)
    mean = (total[BESIDE:] - total[:-BESIDE]) / BESIDE  # of the frames from each one on
    rises: np.ndarray = np.maximum(mean[BESIDE:] - mean[:-BESIDE], 0).mean(axis=1)
    return rises


def _time(number: Any) -> Any:
    """Return the seconds of a rise by its number: between the middles of the frames before and after."""
    return (number + BESIDE + 0.5) * HOP
