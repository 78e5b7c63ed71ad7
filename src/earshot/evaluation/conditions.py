"""Sound as if it had been recorded under the typical conditions of another class.

What is known of a class's conditions are means over its windows of training. A window gets the *difference* between its
own class's and the other's, so that what sets it apart within its class stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from earshot.leaks.conditions import THIRD_COLUMNS, THIRDS, floor_db

MOST_DB = 30.0  # by which a third octave is raised or lowered: more would amplify rounding errors
SMOOTH = np.ones(3) / 3  # over an octave: a channel's spectrum is smooth, lines are what sounds
LACKING = 2.0  # ratio of power from which on something is too quiet: what sounds is part of a floor too, and varies
ROLL_OFF = 2 ** (1 / 3)  # from the band limit to where nothing is left


@dataclass(frozen=True)
class Conditions:
    """The typical recording conditions of a class.

    thirds : power per Hz of each of `leaks.conditions.THIRDS` in dB, smoothed over an octave; shape (27,)
    bandwidth : the highest frequency above the floor, in Hz
    floor_db : the level of the quietest tenth of the frames, in dB
    offset : the mean of the samples
    """

    thirds: np.ndarray
    bandwidth: float
    floor_db: float
    offset: float


def typical(described: pd.DataFrame) -> dict[str, Conditions]:
    """Return the typical conditions of each class.

    Parameters
    ----------
    described : windows with `label` and the columns of `leaks.conditions.describe`
    """
    return {
        label: Conditions(
            np.convolve(np.pad(rows[THIRD_COLUMNS].mean().to_numpy(), 1, mode="edge"), SMOOTH, "valid"),
            float(rows["bandwidth"].median()),
            float(rows["floor_db"].median()),
            float(rows["offset"].mean()),
        )
        for label, rows in described.groupby("label")
    }


def swapped(
    samples: np.ndarray, sample_rate: int, own: Conditions, other: Conditions, rng: np.random.Generator
) -> np.ndarray:
    """Return a window with the conditions of another class in place of its own.

    Each third octave is raised or lowered by how the two classes differ in it, and what is above the other's band limit
    is taken away. Noise fills what a third octave still lacks, and is added to a noise floor that is lower than the
    other's by half or more; one that is too high can't be taken away. What would clip is turned down as a whole.

    Parameters
    ----------
    samples : mono, float32, shape (n,)
    sample_rate : in Hz
    own, other : of the class that it is of, and of the other
    rng : draws the noise

    Returns
    -------
    float32, shape (n,)
    """
    frequency = np.fft.rfftfreq(len(samples), 1 / sample_rate)
    gain_db = np.clip(other.thirds - own.thirds, -MOST_DB, MOST_DB)
    passed = _below(frequency, other.bandwidth)
    lacking = _lacking(own.thirds + gain_db, other.thirds)
    per_hertz = np.sqrt(sample_rate / 2)  # white noise of power 1 has a power of 1 / per_hertz**2 in each
    kept = _filtered(samples, _over(frequency, gain_db) * passed)
    kept = kept + _filtered(rng.standard_normal(len(samples)), _over(frequency, lacking) * passed * per_hertz)
    there, wanted = (10 ** (level / 10) for level in (floor_db(kept), other.floor_db))
    if there < wanted / LACKING:
        noise = _filtered(rng.standard_normal(len(samples)), _over(frequency, other.thirds) * passed)
        kept = kept + noise * np.sqrt((wanted - there) / max(np.mean(noise**2), np.finfo(float).tiny))
    kept = kept + other.offset - own.offset
    return (kept / max(1.0, np.abs(kept).max())).astype(np.float32)


def _lacking(there: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return what third octaves lack of what is wanted, as power per Hz in dB; very little where it is under half."""
    power, asked = 10 ** (there / 10), 10 ** (wanted / 10)
    return 10 * np.log10(np.where(power < asked / LACKING, asked - power, 0) + 1e-30)


def _over(frequency: np.ndarray, level_db: np.ndarray) -> np.ndarray:
    """Return levels of third octaves as factors of frequencies, between them on a logarithmic axis."""
    place = np.log(np.maximum(frequency, THIRDS[0]))
    return 10 ** (np.interp(place, np.log(THIRDS), level_db) / 20)


def _below(frequency: np.ndarray, limit: float) -> np.ndarray:
    """Return a factor for frequencies: 1 up to a limit, then falling to 0 as a cosine on a logarithmic axis."""
    beyond = np.log(np.maximum(frequency, 1) / limit) / np.log(ROLL_OFF)
    return (1 + np.cos(np.pi * np.clip(beyond, 0, 1))) / 2


def _filtered(samples: np.ndarray, gain: np.ndarray) -> np.ndarray:
    return np.fft.irfft(np.fft.rfft(samples) * gain, len(samples))
