"""What the inputs are to be: the tutorials' features, each by the function of librosa or scipy that defines it.

This is the truth of the tests. benchmarks/tutorial.py says nearly the same for another need: it is the script as
people run it, to be timed. Neither is to change because the other does.
"""

from __future__ import annotations

import librosa
import numpy as np
import scipy.signal


def columns(y: np.ndarray, sr: int) -> list[float]:
    """Return the genre tutorial's 26 numbers, each from the samples by librosa's own function."""
    feature = librosa.feature
    over_time = [
        feature.chroma_stft(y=y, sr=sr),
        feature.rms(y=y),
        feature.spectral_centroid(y=y, sr=sr),
        feature.spectral_bandwidth(y=y, sr=sr),
        feature.spectral_rolloff(y=y, sr=sr),
        feature.zero_crossing_rate(y),
        *feature.mfcc(y=y, sr=sr),
    ]
    return [float(np.mean(values)) for values in over_time]


def log_spectrogram(window: np.ndarray) -> np.ndarray:
    """Return the siren tutorial's log spectrogram of a window at 16 kHz, not yet normalised: (T, F), of its type."""
    _, _, density = scipy.signal.spectrogram(window, fs=16000, nperseg=320, noverlap=160)
    return np.log(density.T + density.dtype.type(1e-10))


def log_mel(window: np.ndarray) -> np.ndarray:
    """Return librosa's log-mel spectrogram of a window at 16 kHz: (T, F)."""
    mel = librosa.feature.melspectrogram(y=window, sr=16000, n_fft=1024, hop_length=320, n_mels=128, center=False)
    return librosa.power_to_db(mel, top_db=None).T
