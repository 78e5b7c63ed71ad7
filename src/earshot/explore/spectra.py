"""Spectral features of a sound as arrays: what the functions of librosa and scipy return that the tutorials call.

F: frequencies, T: frames. Samples are mono: shape (n,), full scale is 1.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
import scipy.signal

from earshot.audio import filterbanks, spectrum
from earshot.inputs import librosa_features

STFT_SECONDS = 2048 / 22050  # the genre tutorial's window, in seconds: other sample rates take as long a one
WINDOW, HOP = 0.02, 0.01  # seconds, of the log spectrogram
FEWEST = 8  # samples in a window, however low the sample rate
ROLL_SHARE = 0.85  # of a frame's magnitude, librosa's default
EPS = 1e-14  # added to a density before its logarithm, as in the tutorial
N_MFCC = 13
ORDERS = (2, 3, 4)  # of the spectral bandwidth


def power_spectrum(samples: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the amplitude spectrum of the whole sound, by one Fourier transform.

    The tutorial calls it the power spectrum. A sine of amplitude A has a peak of height A
    where its frequency is that of a bin.

    Returns
    -------
    frequency, amplitude : in Hz, and of full scale 1; both of shape (n // 2 + 1,)
    """
    n = len(samples)
    amplitude = np.abs(scipy.fft.rfft(samples)) / n
    amplitude[1 : (n + 1) // 2] *= 2  # all but 0 Hz and half the sample rate stand for a negative frequency, too
    return scipy.fft.rfftfreq(n, 1 / sample_rate), amplitude


def n_fft(sample_rate: int) -> int:
    """Return the window length of `stft` in samples: the power of two nearest to `STFT_SECONDS`."""
    return max(FEWEST, 2 ** round(np.log2(STFT_SECONDS * sample_rate)))


def hop_length(sample_rate: int) -> int:
    """Return the hop length of `stft` in samples: a quarter of a window, as in the tutorial."""
    return n_fft(sample_rate) // 4


def stft(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return the magnitude of the short-time Fourier transform, with frames centred on their times: (F, T)."""
    return np.concatenate(list(spectrum.centred(samples, n_fft(sample_rate), hop_length(sample_rate)))).T


def frequencies(sample_rate: int) -> np.ndarray:
    """Return the frequency of each row of `stft` in Hz: (F,)."""
    return scipy.fft.rfftfreq(n_fft(sample_rate), 1 / sample_rate)


def times(magnitude: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return the middle of each frame of `stft` in seconds: (T,)."""
    return np.arange(magnitude.shape[1]) * hop_length(sample_rate) / sample_rate


def decibels(magnitude: np.ndarray) -> np.ndarray:
    """Return magnitudes in dB, down to 80 dB below the highest."""
    return librosa_features.floored(spectrum.decibels(magnitude**2))


def log_window(sample_rate: int) -> int:
    """Return the window length of the log spectrogram in samples."""
    return max(FEWEST, int(WINDOW * sample_rate))


def log_spectrogram(samples: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the natural logarithm of the one-sided power density in windows of 20 ms, one every 10 ms.

    The tutorial's `spectrogram`, with its symmetric Hann windows.

    Returns
    -------
    frequency : in Hz, shape (F,)
    time : the middle of each window in seconds, shape (T,)
    density : logarithm of full scale squared per Hz, shape (F, T)

    Raises
    ------
    ValueError
        If the sound is shorter than a window.
    """
    length = log_window(sample_rate)
    hop = max(1, int(HOP * sample_rate))
    frequency, time, density = scipy.signal.spectrogram(
        samples,
        sample_rate,
        window=scipy.signal.windows.hann(length),
        noverlap=length - hop,
        detrend=False,
        scaling="density",
    )
    return frequency, time, np.log(density + EPS)


def below(frequency: np.ndarray, values: np.ndarray, max_freq: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Drop frequencies above `max_freq` Hz: shapes (F,) and (F, ...); None keeps all, and two rows always remain."""
    n = len(frequency) if max_freq is None else max(2, np.searchsorted(frequency, max_freq, side="right"))
    return frequency[:n], values[:n]


def mel(magnitude: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return the power in 128 mel bands in dB, down to 80 dB below the highest: (F, T) -> (128, T)."""
    power = spectrum.mel((magnitude**2).T, sample_rate, n_fft(sample_rate), librosa_features.N_MELS)
    return librosa_features.floored(spectrum.decibels(power)).T


def mel_frequencies(n_bands: int, sample_rate: int) -> np.ndarray:
    """Return the middle of each of `mel`'s bands in Hz: (M,)."""
    return filterbanks.mel_corners(sample_rate, n_bands)[1:-1]


def mfcc(mel: np.ndarray) -> np.ndarray:
    """Return the first 13 mel-frequency cepstral coefficients of mel bands in dB: (M, T) -> (13, T)."""
    return librosa_features.cepstrum(mel.T, N_MFCC).T


def chroma(magnitude: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return the strength of each pitch class relative to the strongest of its frame: (F, T) -> (12, T)."""
    power = (magnitude**2).T
    tuning = librosa_features.tuning(*librosa_features.peaks(power, sample_rate))
    return librosa_features.chroma(power, sample_rate, n_fft(sample_rate), tuning).T


def centres(magnitude: np.ndarray, sample_rate: int) -> dict[str, np.ndarray]:
    """Return spectral centroid and roll-off (85 %) of each frame in Hz: (F, T) -> (T,)."""
    frames = np.ascontiguousarray(magnitude.T)
    return {
        "centroid": librosa_features.centroid(frames, sample_rate),
        "roll-off": librosa_features.rolloff(frames, sample_rate, ROLL_SHARE),
    }


def bandwidths(magnitude: np.ndarray, sample_rate: int) -> dict[str, np.ndarray]:
    """Return the spectral bandwidth of each order p of each frame in Hz: (F, T) -> (T,)."""
    frames = np.ascontiguousarray(magnitude.T)
    centroid = librosa_features.centroid(frames, sample_rate)
    return {f"p = {p}": librosa_features.bandwidth(frames, centroid, sample_rate, p) for p in ORDERS}


def zero_crossings(samples: np.ndarray) -> np.ndarray:
    """Return whether the sign of each sample differs from that of the sample before: (n,) -> (n,)."""
    return librosa_features.zero_crossings(samples)
