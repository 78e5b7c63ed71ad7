"""Filter banks are librosa's and windows are scipy's, to the bit, at any sample rate, length and tuning."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import scipy.signal

from earshot.audio import filterbanks, spectrum
from earshot.inputs import librosa_features

RATES = (8000, 16000, 22050, 44100, 48000)
pytestmark = pytest.mark.filterwarnings("ignore:Empty filters detected")


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("sample_rate", RATES)
@pytest.mark.parametrize("n_fft", [256, 441, 2048])
def test_mel_bands(sample_rate, n_fft):
    for n_mels in (20, 64, 128):
        for lowest in (0, 100, 1500):
            expected = librosa.filters.mel(sr=sample_rate, n_fft=n_fft, n_mels=n_mels, fmin=lowest)
            assert_same(filterbanks.mel(sample_rate, n_fft, n_mels, lowest), expected)
        expected = librosa.mel_frequencies(n_mels=n_mels + 2, fmax=sample_rate / 2)
        assert_same(filterbanks.mel_corners(sample_rate, n_mels), expected)


@pytest.mark.parametrize("length", [2, 3, 7, 256, 441, 2048, 22050])
def test_windows(length):
    assert_same(spectrum.hann(length, np.float64), scipy.signal.get_window("hann", length))
    for share in (0.1, 0.25, 0.5):
        assert_same(spectrum.tapered(length, share), scipy.signal.get_window(("tukey", share), length))


@pytest.mark.parametrize("sample_rate", RATES)
@pytest.mark.parametrize("n_fft", [256, 441, 2048])
def test_pitch_classes(sample_rate, n_fft):
    for tuning in (-0.5, -0.37, 0.0, 0.01, 0.49):
        expected = librosa.filters.chroma(sr=sample_rate, n_fft=n_fft, tuning=tuning)
        assert_same(filterbanks.chroma(sample_rate, n_fft, tuning), expected)


@pytest.mark.parametrize("n", [1, 2, 100, 10_000])
def test_tuning(n):
    rng = np.random.default_rng(n)
    for _ in range(20):
        pitch = rng.uniform(150, 4000, n).astype(np.float32)
        assert librosa_features.tuning(pitch, np.ones(n)) == librosa.pitch_tuning(pitch)
