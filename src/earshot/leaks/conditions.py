"""Recording conditions of windows: level, bandwidth, noise floor and long-term spectrum, also in third octaves."""

from __future__ import annotations

import numpy as np
import pandas as pd

from earshot.splits import windows

FRAME = 2048  # samples
SHORT = 256  # samples of a frame of the noise floor
SPECTRUM_BANDS = 32
QUIET = 1e-14  # power per Hz; about that of 16 bit quantisation noise
AUDIBLE_DB = 50.0  # further below the loudest frequency, nothing counts as recorded
THIRDS = 1000 * 2 ** (np.arange(-13, 14) / 3)  # Hz: the centres of the third octaves from 50 Hz to 20 kHz
THIRD_COLUMNS = [f"third_{number:02}" for number in range(len(THIRDS))]
QUIET_DB = float(10 * np.log10(QUIET))
CHANNEL = ["sample_rate", "bandwidth", "offset", "floor_db", "peak_db", "zeros"]


def describe(samples: np.ndarray, sample_rate: int, length: float, hop: float) -> pd.DataFrame:
    """Describe the recording conditions of each window of a recording.

    Parameters
    ----------
    samples : mono, float32, shape (n,)
    sample_rate : in Hz, of the file
    length, hop : of the windows, in seconds

    Returns
    -------
    A row for each window: `start` in seconds; `CHANNEL`: the file's sample rate, the highest frequency above the
    floor (Hz), the mean, the level of the quietest tenth of the frames (dB), the peak (dB) and the share of samples
    that are 0; and the long-term spectrum in `band_NN`, dB relative to the window's mean, and in `THIRD_COLUMNS`, the
    mean power per Hz of each third octave in dB (`QUIET_DB` above half the sample rate).
    """
    rows = []
    for start in windows.starts(0, len(samples) / sample_rate, length, hop):
        first = round(start * sample_rate)
        rows.append({"start": start, **_window(samples[first : first + round(length * sample_rate)], sample_rate)})
    values = np.array([list(row.values()) for row in rows])  # a frame of one array is made in a fifth of the time
    return pd.DataFrame(values, columns=list(rows[0])) if rows else pd.DataFrame()


def floor_db(samples: np.ndarray) -> float:
    """Return the noise floor of a window: the level of the quietest tenth of its short frames, in dB."""
    frames = samples[: len(samples) // SHORT * SHORT].reshape(-1, SHORT)
    return float(np.quantile(10 * np.log10((frames**2).mean(axis=1) + QUIET), 0.1))


def _window(samples: np.ndarray, sample_rate: int) -> dict[str, float]:
    import scipy.signal  # a second, and a stage may have nothing to describe

    frequency, density = scipy.signal.welch(samples, sample_rate, "hann", min(FRAME, len(samples)))
    level = 10 * np.log10(density + QUIET)
    # bands of equal width on a logarithmic axis up to 4 kHz, which every recording has
    edges = np.geomspace(60, 4000, SPECTRUM_BANDS + 1)
    bands = np.interp(np.sqrt(edges[1:] * edges[:-1]), frequency, level)
    return {
        "sample_rate": float(sample_rate),
        "bandwidth": float(frequency[np.flatnonzero(level > level.max() - AUDIBLE_DB).max()]),
        "offset": float(samples.mean()),
        "floor_db": floor_db(samples),
        "peak_db": float(20 * np.log10(np.abs(samples).max() + QUIET)),
        "zeros": float((samples == 0).mean()),
        **{f"band_{number:02}": float(value) for number, value in enumerate(bands - bands.mean())},
        **dict(zip(THIRD_COLUMNS, _thirds(frequency, density), strict=True)),
    }


def _thirds(frequency: np.ndarray, density: np.ndarray) -> list[float]:
    """Return the mean power per Hz of each third octave in dB, from a spectrum's integral at the bands' edges."""
    edges = np.append(THIRDS, THIRDS[-1] * 2 ** (1 / 3)) * 2 ** (-1 / 6)
    power = np.append(0, np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(frequency)))
    mean = np.diff(np.interp(edges, frequency, power)) / np.diff(edges)
    return [float(level) for level in 10 * np.log10(mean + QUIET)]
