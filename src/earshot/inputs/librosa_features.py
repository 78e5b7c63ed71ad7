"""librosa's spectral features, all from one short-time Fourier transform.

What librosa 0.11 computes with its own transform for each feature, and where it looks at every bin although a few
decide, is computed once and where it decides: 1e-4 of a column's deviation away from librosa's values, and nearer.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import scipy.fft

from earshot.audio import filterbanks, spectrum
from earshot.audio.spectrum import loops

N_MELS = 128  # of the mel spectrum under the MFCC
FLOOR_DB = 80  # below the loudest band of all frames; what is lower counts as that
PITCHES_HZ = (150, 4000)  # where spectral peaks are looked for, to estimate the tuning
PEAK = np.float32(0.1)  # of a frame's highest power: lower ones are no peaks
CROSSING = np.float32(1e-10)  # nearer to zero is zero
CENTS = 100  # in a semitone
SILENT = np.finfo(np.float32).tiny


def frequencies(n_bins: int, sample_rate: int) -> np.ndarray:
    """Return the frequency of each bin in Hz: float32, (F,)."""
    return np.linspace(0, sample_rate / 2, n_bins, dtype=np.float32)


def centroid(magnitude: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return the mean frequency of each frame, weighted by magnitude, in Hz: (T, F) -> (T,)."""
    return magnitude @ frequencies(magnitude.shape[1], sample_rate) / _total(magnitude)


def bandwidth(magnitude: np.ndarray, centroid: np.ndarray, sample_rate: int, order: int) -> np.ndarray:
    """Return the deviation from the centroid of the given order, in Hz: (T, F), (T,) -> (T,)."""
    frequency = frequencies(magnitude.shape[1], sample_rate)
    return (_moment(magnitude, frequency, centroid.astype(np.float32), order) / _total(magnitude)) ** (1 / order)


def _total(magnitude: np.ndarray) -> np.ndarray:
    total = magnitude @ np.ones(magnitude.shape[1], np.float32)
    return np.where(total < SILENT, 1, total)


@loops
def _moment(magnitude: np.ndarray, frequency: np.ndarray, centre: np.ndarray, order: int) -> np.ndarray:
    found = np.empty(len(magnitude), np.float64)
    for frame in range(len(magnitude)):
        row, middle = magnitude[frame], centre[frame]
        moment = np.float32(0)
        if order == 2:  # a product is much faster than a power
            for bin_ in range(len(row)):
                moment += row[bin_] * (frequency[bin_] - middle) * (frequency[bin_] - middle)
        else:
            for bin_ in range(len(row)):
                moment += row[bin_] * abs(frequency[bin_] - middle) ** order
        found[frame] = moment
    return found


def rolloff(magnitude: np.ndarray, sample_rate: int, share: float) -> np.ndarray:
    """Return the lowest frequency up to which a frame has `share` of its magnitude, in Hz: (T, F) -> (T,)."""
    return frequencies(magnitude.shape[1], sample_rate)[_reached(magnitude, np.float32(share))].astype(np.float64)


@loops
def _reached(magnitude: np.ndarray, share: np.float32) -> np.ndarray:
    found = np.empty(len(magnitude), np.int64)
    for frame in range(len(magnitude)):
        row = magnitude[frame]
        left = row.sum() * share
        bin_ = 0
        while bin_ < len(row) - 1 and row[bin_] < left:
            left -= row[bin_]
            bin_ += 1
        found[frame] = bin_
    return found


def chroma(power: np.ndarray, sample_rate: int, n_fft: int, tuning: float) -> np.ndarray:
    """Return how strong each pitch class is against the strongest of its frame: (T, F) -> (T, 12).

    `tuning` is in semitones from A440.
    """
    strength = power @ pitch_classes(sample_rate, n_fft, tuning)
    strongest = strength.max(axis=1, keepdims=True)
    return strength / np.where(strongest < SILENT, 1, strongest)


@functools.cache
def pitch_classes(sample_rate: int, n_fft: int, tuning: float) -> np.ndarray:
    """Return the weight of each bin in each pitch class: float32, (F, 12)."""
    return np.ascontiguousarray(filterbanks.chroma(sample_rate, n_fft, tuning).T)


def tuning(pitch: np.ndarray, height: np.ndarray) -> float:
    """Return how far a sound with such `peaks` is tuned from A440: semitones from -0.5 up to 0.5, 0 without a peak.

    librosa's `estimate_tuning`: the most frequent deviation, in cents, among the stronger half of all peaks.
    """
    if not len(pitch):
        return 0.0
    deviation = np.mod(filterbanks.PITCH_CLASSES * filterbanks.octaves(pitch[height >= np.median(height)]), 1)
    deviation[deviation >= 0.5] -= 1
    counts, edges = np.histogram(deviation, np.linspace(-0.5, 0.5, CENTS + 1))
    return float(edges[np.argmax(counts)])


def peaks(power: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Return frequency in Hz and height of every spectral peak of all frames: (T, F) -> (n,), (n,).

    librosa's `piptrack`: both by the parabola through the peak's bin and the two beside it.
    """
    lowest, highest = PITCHES_HZ
    per_bin = sample_rate / 2 / (power.shape[1] - 1)
    first, end = math.ceil(lowest / per_bin), min(math.ceil(highest / per_bin), power.shape[1] - 1)
    before, here, after = (power[:, first + shift : end + shift] for shift in (-1, 0, 1))
    is_peak = here > PEAK * power.max(axis=1, keepdims=True)
    is_peak &= here > before
    is_peak &= here >= after
    frame, bin_ = np.divmod(np.flatnonzero(is_peak), is_peak.shape[1])
    before, here, after = (values[frame, bin_] for values in (before, here, after))
    slope, curvature = (after - before) / 2, after + before - 2 * here
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.where(np.abs(slope) < np.abs(curvature), -slope / curvature, np.float32(0))
    return ((first + bin_ + shift) * per_bin).astype(np.float32), here + slope * shift / 2


def mfcc(mel: np.ndarray, n_mfcc: int) -> np.ndarray:
    """Return mel-frequency cepstral coefficients of the power in mel bands: (T, M) -> (n_mfcc, T)."""
    return cepstrum(floored(spectrum.decibels(mel)), n_mfcc).T


def floored(level: np.ndarray) -> np.ndarray:
    """Raise what is more than 80 dB below the loudest to that."""
    return np.maximum(level, level.max() - FLOOR_DB)


def cepstrum(level: np.ndarray, n_mfcc: int) -> np.ndarray:
    """Return the first cepstral coefficients of mel bands in dB: (T, M) -> (T, n_mfcc)."""
    return scipy.fft.dct(level, type=2, norm="ortho", axis=1)[:, :n_mfcc]


def rms(samples: np.ndarray, frame_length: int, hop_length: int) -> np.ndarray:
    """Return the root mean square of each centred frame: (n,) -> (T,)."""
    squares = np.square(np.pad(samples, frame_length // 2))
    return np.sqrt(_sums(squares, frame_length, hop_length) / frame_length)


def zero_crossing_rate(samples: np.ndarray, frame_length: int, hop_length: int) -> np.ndarray:
    """Return the share of a centred frame's samples that have another sign than the one before: (n,) -> (T,)."""
    crossings = zero_crossings(np.pad(samples, frame_length // 2, mode="edge")).astype(np.float32)
    counts = _sums(crossings, frame_length, hop_length)
    # what happened before a frame's first sample is not its own
    return (counts - crossings[::hop_length][: len(counts)]) / frame_length


def zero_crossings(samples: np.ndarray) -> np.ndarray:
    """Return whether each sample has another sign than the one before, zero counted as positive: (n,) -> bool, (n,)."""
    negative = samples < -CROSSING
    return np.append(False, negative[1:] != negative[:-1])


@loops
def _sums(values: np.ndarray, frame_length: int, hop_length: int) -> np.ndarray:
    """Return the sum of each frame that lies wholly in `values`, float32: (T,)."""
    found = np.empty((len(values) - frame_length) // hop_length + 1, np.float32)
    for frame in range(len(found)):
        found[frame] = values[frame * hop_length : frame * hop_length + frame_length].sum()
    return found
