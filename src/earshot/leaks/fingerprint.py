"""Spectral fingerprints: short patches of a recording as vectors that survive re-encoding, gain and shifts.

A patch is a log-mel spectrogram of three quarters of a second from which each band's mean is taken. What is left is
how the bands fluctuate: gain, equalisation and a steady spectrum drop out. Whitened by the principal components of
all patches and scaled to unit length, patches of different sounds are nearly orthogonal, and the inner product of two
is their similarity: mostly above 0.85 for copies that were turned into mp3, halved in level and shifted.
"""

from __future__ import annotations

import functools

import numpy as np
import scipy.fft

from earshot.audio import filterbanks

SAMPLE_RATE = 8000  # what every codec keeps; also makes recordings of different rates comparable
FULL_SCALE = 32768  # of 16 bit
N_FFT = 1024
HOP_LENGTH = 256
N_MELS = 32
PATCH_FRAMES = 20
PATCH_SAMPLES = N_FFT + (PATCH_FRAMES - 1) * HOP_LENGTH  # 0.736 s
DIMENSIONS = 64
FLOOR = 1e-10  # power; below 16 bit quantisation noise
STEADY = 0.1  # standard deviation of a patch's log power: less is digital silence or a test tone, which match anything
SHRINKAGE = 0.1  # of the mean variance, added to each: few patches know little of the last components
BLOCK = 2048  # frames or patches that are worked on at a time


def n_frames(n_samples: int) -> int:
    """Return how many frames a recording has, see `log_mel`."""
    return max(0, (n_samples - N_FFT) // HOP_LENGTH + 1)


def log_mel(samples: np.ndarray) -> np.ndarray:
    """Return the log-mel power of a recording, int16 at `SAMPLE_RATE`: float32, shape (T, N_MELS).

    Frame k is of samples [k * HOP_LENGTH, k * HOP_LENGTH + N_FFT); a recording without one has none.
    """
    if len(samples) < N_FFT:
        return np.empty((0, N_MELS), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, N_FFT)[::HOP_LENGTH]
    window, mel = _analysis()
    blocks = [
        np.log(np.abs(scipy.fft.rfft(frames[first : first + BLOCK] * window, axis=1)) ** 2 @ mel + FLOOR)
        for first in range(0, len(frames), BLOCK)
    ]
    return np.concatenate(blocks).astype(np.float32)


@functools.cache
def _analysis() -> tuple[np.ndarray, np.ndarray]:
    window = (np.hanning(N_FFT) / FULL_SCALE).astype(np.float32)
    return window, filterbanks.mel(SAMPLE_RATE, N_FFT, N_MELS, lowest=100).T


def starts(n_frames: int, stride: int) -> np.ndarray:
    """Return the first frames of the patches that stand `stride` frames apart, and of the last one that fits."""
    last = n_frames - PATCH_FRAMES
    return np.unique(np.append(np.arange(0, last + 1, stride), last)) if last >= 0 else np.empty(0, int)


def patches(frames: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the patches that begin at given frames, not yet whitened.

    Parameters
    ----------
    frames : see `log_mel`
    first : int, shape (n,)

    Returns
    -------
    patches : float32, shape (m, N_MELS * PATCH_FRAMES)
    kept : int, shape (m,); which of `first` they are of. Patches without any fluctuation are left out.
    """
    if len(first) == 0:
        return np.empty((0, N_MELS * PATCH_FRAMES), np.float32), first
    views = np.lib.stride_tricks.sliding_window_view(frames, PATCH_FRAMES, axis=0)[first]
    centred = (views - views.mean(axis=2, keepdims=True)).reshape(len(first), -1)
    moving = np.sqrt((centred**2).mean(axis=1)) > STEADY
    return centred[moving], first[moving]


class Whitening:
    """A projection of patches to unit vectors, in which different sounds are nearly orthogonal."""

    def __init__(self, sample: np.ndarray):
        """Fit the principal components of patches, shape (n, N_MELS * PATCH_FRAMES)."""
        from sklearn.decomposition import PCA

        # of float64 covariances: the same bytes whatever the number of threads
        fitted = PCA(min(DIMENSIONS, *sample.shape), svd_solver="covariance_eigh").fit(sample.astype(np.float64))
        variance = fitted.explained_variance_
        scale = np.sqrt(variance + SHRINKAGE * variance.mean() + np.finfo(np.float32).tiny)
        self.projection = (fitted.components_ / scale[:, None]).T.astype(np.float32)

    def __call__(self, patches: np.ndarray) -> np.ndarray:
        """Return unit vectors: float32, shape (n, DIMENSIONS)."""
        projected = patches @ self.projection
        return projected / np.maximum(np.linalg.norm(projected, axis=1, keepdims=True), np.finfo(np.float32).tiny)
