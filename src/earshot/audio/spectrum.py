"""Short-time spectra and mel bands, with as little work as they need."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numba
import numpy as np
import scipy.fft

from earshot.audio import filterbanks
from earshot.audio.cut import stretches

FRAMES_AT_ONCE = 256  # few enough for the processor's cache
BANDS_AT_ONCE = 16  # neighbouring mel bands see a small part of the spectrum: only that is multiplied

# For loops that numpy would need many passes over memory for. Sums may be taken in another order, and so several
# numbers at a time; not-a-number keeps its meaning.
loops = numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})


@loops
def windowed(samples: np.ndarray, window: np.ndarray, hop_length: int, detrend: bool = False) -> np.ndarray:
    """Return the frames that lie wholly in `samples`, times the window: (T, len(window)), of the window's type.

    With `detrend` each frame's mean is taken off first.
    """
    n = len(window)
    frames = np.empty(((len(samples) - n) // hop_length + 1, n), window.dtype)
    for number in range(len(frames)):
        seen, frame = samples[number * hop_length : number * hop_length + n], frames[number]
        mean = seen.sum() / np.float32(n) if detrend else np.float32(0)
        for k in range(n):
            frame[k] = (seen[k] - mean) * window[k]
    return frames


def magnitude(frames: np.ndarray) -> np.ndarray:
    """Return the magnitude of the one-sided Fourier transform of each frame: (T, n) -> float32, (T, n / 2 + 1)."""
    return np.abs(scipy.fft.rfft(frames, axis=1).astype(np.complex64, copy=False))


def centred(samples: np.ndarray, n_fft: int, hop_length: int) -> Iterator[np.ndarray]:
    """Yield the magnitude of librosa's `stft`, some frames at a time: (T, n_fft / 2 + 1).

    There are 1 + n // hop_length frames. Frame k has its middle at sample k * hop_length; beyond the ends there is
    silence.
    """
    for stretch in stretches([np.pad(samples, n_fft // 2)], n_fft, hop_length, FRAMES_AT_ONCE):
        yield magnitude(windowed(stretch, hann(n_fft, np.float32), hop_length))


@functools.cache
def hann(n_fft: int, dtype: type) -> np.ndarray:
    """Return librosa's window, a periodic Hann window: shape (n_fft,)."""
    return (0.5 + 0.5 * np.cos(np.linspace(-np.pi, np.pi, n_fft + 1)))[:-1].astype(dtype)


def mel(power: np.ndarray, sample_rate: int, n_fft: int, n_mels: int) -> np.ndarray:
    """Return the power in librosa's mel bands (Slaney's scale and norm): (T, n_fft / 2 + 1) -> (T, n_mels)."""
    return np.concatenate([power[:, seen] @ weights for seen, weights in _bands(sample_rate, n_fft, n_mels)], axis=1)


@functools.cache
def _bands(sample_rate: int, n_fft: int, n_mels: int) -> list[tuple[slice, np.ndarray]]:
    """Return, for some bands at a time, the bins that they see and those bins' weights, (bins, bands)."""
    weights = filterbanks.mel(sample_rate, n_fft, n_mels).T
    found = []
    for first in range(0, n_mels, BANDS_AT_ONCE):
        some = weights[:, first : first + BANDS_AT_ONCE]
        bins = np.flatnonzero(some.any(axis=1))
        seen = slice(bins[0], bins[-1] + 1) if len(bins) else slice(0, 1)  # a band may be narrower than a bin
        found.append((seen, np.ascontiguousarray(some[seen], np.float32)))
    return found


def decibels(power: np.ndarray) -> np.ndarray:
    """Return 10 log10 of the power, of at least 1e-10, as `librosa.power_to_db` does without a floor."""
    return np.log(np.maximum(power, np.float32(1e-10))) * np.float32(10 / np.log(10))


def density(samples: np.ndarray, sample_rate: int, nperseg: int, hop_length: int, unit: float) -> np.ndarray:
    """Return the power spectral density as `scipy.signal.spectrogram` has it by default: float32, (T, F).

    That is with a Tukey window (0.25), each frame's mean taken off, one-sided; here in `unit` instead of 1 / Hz.
    """
    window, scale = tukey(nperseg, sample_rate)
    frames = windowed(samples, window, hop_length, detrend=True)
    return _squared(scipy.fft.rfft(frames, axis=1), scale / np.float32(unit))


@functools.cache
def tukey(nperseg: int, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the window, (nperseg,), and what makes squared magnitudes a one-sided density, (F,); both float32."""
    window = tapered(nperseg, 0.25)
    scale = np.full(nperseg // 2 + 1, 2 / (sample_rate * (window**2).sum()))
    scale[0] /= 2  # the mean has no twin at a negative frequency, nor has, where there is one, Nyquist's
    scale[nperseg // 2 + nperseg % 2 :] /= 2
    return window.astype(np.float32), scale.astype(np.float32)


def tapered(length: int, share: float) -> np.ndarray:
    """Return a periodic Tukey window, as `scipy.signal.get_window` does: shape (length,).

    Parameters
    ----------
    share : of the window in which it rises and falls as a Hann window does; between them it is 1
    """
    place = np.arange(length)
    width = int(share * length / 2)
    rising, falling = place[: width + 1], place[length - width :]
    window = np.ones(length)
    window[: width + 1] = 0.5 * (1 + np.cos(np.pi * (-1 + 2.0 * rising / share / length)))
    window[length - width :] = 0.5 * (1 + np.cos(np.pi * (-2.0 / share + 1 + 2.0 * falling / share / length)))
    return window


@loops
def _squared(spectrum: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return the squared magnitudes, scaled."""
    squared = np.empty(spectrum.shape, np.float32)
    for frame in range(len(spectrum)):
        for k in range(len(scale)):
            value = spectrum[frame, k]
            squared[frame, k] = (value.real * value.real + value.imag * value.imag) * scale[k]
    return squared


# Sums may be taken in another order, and so several numbers at a time; not-a-number keeps its meaning.
loops = numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
