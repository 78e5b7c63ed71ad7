"""The weights of the bins in mel bands and in pitch classes (chroma): those of librosa 0.11, to the bit.

Not taken from librosa, since importing its `filters` takes each process two seconds, and half a minute the first time:
functions are compiled that nothing here calls.
"""

from __future__ import annotations

import numpy as np

# Slaney's mel scale (Auditory Toolbox, 1998, https://engineering.purdue.edu/~malcolm/interval/1998-010): linear below
# LINEAR_HZ, logarithmic above.
HZ_PER_MEL = 200 / 3
LINEAR_HZ = 1000.0
LOG_STEP = np.log(6.4) / 27  # of the frequency's logarithm, for each mel
A440 = 440.0
PITCH_CLASSES = 12
CENTRE_OCTAVE, OCTAVES_WIDE = 5.0, 2.0  # of the Gaussian by which chroma weighs octaves, from A0


def mel(sample_rate: int, n_fft: int, n_mels: int, lowest: float = 0.0) -> np.ndarray:
    """Return the weight of each bin in each mel band, float32: (n_mels, n_fft / 2 + 1).

    Triangles, each from the centre of the band below to that of the band above, of area 1 (Slaney's norm).

    Parameters
    ----------
    lowest : where the first triangle begins, in Hz; the last ends at half the sample rate
    """
    corners = mel_corners(sample_rate, n_mels, lowest)
    width = np.diff(corners)
    distance = np.subtract.outer(corners, np.fft.rfftfreq(n_fft, 1 / sample_rate))
    rising, falling = -distance[:-2] / width[:-1, None], distance[2:] / width[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    return (triangles * (2 / (corners[2:] - corners[:-2]))[:, None]).astype(np.float32)


def mel_corners(sample_rate: int, n_mels: int, lowest: float = 0.0) -> np.ndarray:
    """Return the corners of the triangles of `mel` in Hz: (n_mels + 2,); each has its centre where the next begins."""
    mels = np.linspace(_mels(lowest), _mels(sample_rate / 2), n_mels + 2)
    hz = HZ_PER_MEL * mels
    above = mels >= LINEAR_HZ / HZ_PER_MEL
    hz[above] = LINEAR_HZ * np.exp(LOG_STEP * (mels[above] - LINEAR_HZ / HZ_PER_MEL))
    return hz


def _mels(hz: float) -> float:
    """Return a frequency on the mel scale."""
    return hz / HZ_PER_MEL if hz < LINEAR_HZ else LINEAR_HZ / HZ_PER_MEL + np.log(hz / LINEAR_HZ) / LOG_STEP


def chroma(sample_rate: int, n_fft: int, tuning: float) -> np.ndarray:
    """Return the weight of each bin in each pitch class from C on, float32: (12, n_fft / 2 + 1).

    Bumps around each class in every octave, as wide as a bin (Ellis 2007, https://www.ee.columbia.edu/~dpwe/resources/matlab/chroma-ansyn/).

    Parameters
    ----------
    tuning : deviation from A440, in semitones
    """
    hz = np.linspace(0, sample_rate, n_fft, endpoint=False)[1:]
    semitones = PITCH_CLASSES * octaves(hz, tuning)
    semitones = np.concatenate([[semitones[0] - 1.5 * PITCH_CLASSES], semitones])  # bin 0, which has no pitch
    bin_width = np.concatenate([np.maximum(np.diff(semitones), 1), [1]])
    half = PITCH_CLASSES // 2
    distance = np.subtract.outer(np.arange(PITCH_CLASSES, dtype=float), semitones)
    distance = np.remainder(-distance + half + 10 * PITCH_CLASSES, PITCH_CLASSES) - half
    weights = np.exp(-0.5 * (2 * distance / bin_width) ** 2)
    weights /= np.sqrt(np.sum(weights**2, axis=0, keepdims=True))
    weights *= np.exp(-0.5 * ((semitones / PITCH_CLASSES - CENTRE_OCTAVE) / OCTAVES_WIDE) ** 2)
    from_c = np.roll(weights, -3, axis=0)  # the first is A
    return np.ascontiguousarray(from_c[:, : n_fft // 2 + 1], np.float32)


def octaves(hz: np.ndarray, tuning: float = 0.0) -> np.ndarray:
    """Return frequencies in octaves from A0, which `tuning` moves by semitones."""
    return np.log2(hz / (A440 * 2 ** (tuning / PITCH_CLASSES) / 16))
