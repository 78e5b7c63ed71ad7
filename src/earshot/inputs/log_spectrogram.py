"""The siren tutorial's log spectrogram."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import scipy.fft
import scipy.signal

from earshot.inputs.loops import loops
from earshot.inputs.over_time import OverTime

if TYPE_CHECKING:
    import torch

CONSTANT = 1e-4  # a deviation below that is rounding: sound moves a bin's log power by 0.1 and more


@dataclass(frozen=True)
class LogSpectrogram(OverTime):
    """Log power spectral density: shape (T, F), T frames, F = nperseg / 2 + 1 bins.

    `scipy.signal.spectrogram` with its defaults (Tukey window 0.25, constant detrend, density scaling), then
    the natural log of the density plus `eps`, then for each window and bin zero mean and unit deviation over
    time. With 320 and 160 samples at 16 kHz a window of 2 s is (199, 161).
    """

    sample_rate: int
    nperseg: int
    noverlap: int
    eps: float

    standardised: ClassVar[bool] = False
    columns: ClassVar[None] = None

    @property
    def frame_length(self) -> int:
        """Samples that a frame sees."""
        return self.nperseg

    @property
    def hop_length(self) -> int:
        """Samples from frame to frame."""
        return self.nperseg - self.noverlap

    def extract(self, samples: np.ndarray) -> np.ndarray:
        """Compute the log spectrogram of a stretch of sound, not yet normalised: float32, shape (T, F)."""
        window, scale = _density(self.nperseg, self.sample_rate)
        frames = _detrended(samples, window, self.hop_length)
        density = _squared(scipy.fft.rfft(frames, axis=1), scale, np.float32(self.eps))
        return np.log(density, out=density)

    def finish(self, batch: torch.Tensor) -> torch.Tensor:
        """Bring each bin of each window to zero mean and unit deviation over time (population deviation).

        A bin that does not change over the window becomes zero.
        """
        centred = batch - batch.mean(dim=1, keepdim=True)
        deviation = centred.square().mean(dim=1, keepdim=True).sqrt()
        return (centred / deviation).masked_fill_(deviation < CONSTANT, 0)


@functools.cache
def _density(nperseg: int, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the window, (nperseg,), and what makes squared magnitudes a one-sided density, (F,); both float32."""
    window = scipy.signal.get_window(("tukey", 0.25), nperseg)
    scale = np.full(nperseg // 2 + 1, 2 / (sample_rate * (window**2).sum()))
    scale[0] /= 2  # the mean has no twin at a negative frequency, nor has, where there is one, Nyquist's
    scale[nperseg // 2 + nperseg % 2 :] /= 2
    return window.astype(np.float32), scale.astype(np.float32)


@loops
def _detrended(samples: np.ndarray, window: np.ndarray, hop_length: int) -> np.ndarray:
    """Return the frames that lie wholly in `samples`, without their mean, times the window."""
    nperseg = len(window)
    frames = np.empty(((len(samples) - nperseg) // hop_length + 1, nperseg), np.float32)
    for number in range(len(frames)):
        seen, frame = samples[number * hop_length : number * hop_length + nperseg], frames[number]
        mean = seen.sum() / np.float32(nperseg)
        for k in range(nperseg):
            frame[k] = (seen[k] - mean) * window[k]
    return frames


@loops
def _squared(spectrum: np.ndarray, scale: np.ndarray, eps: np.float32) -> np.ndarray:
    """Return the squared magnitudes, scaled, plus `eps`."""
    density = np.empty(spectrum.shape, np.float32)
    for frame in range(len(spectrum)):
        for k in range(len(scale)):
            value = spectrum[frame, k]
            density[frame, k] = (value.real * value.real + value.imag * value.imag) * scale[k] + eps
    return density
