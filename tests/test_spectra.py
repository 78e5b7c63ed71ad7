"""What `explore` draws is what librosa's functions return, with their defaults, as the tutorials call them."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

from earshot.explore import spectra

SAMPLE_RATE = 22050
OF = {"sr": SAMPLE_RATE, "n_fft": 2048}


@pytest.fixture(scope="module")
def samples():
    time = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    noise = np.random.default_rng(0).normal(0, 0.01, len(time))
    return (0.3 * np.sin(2 * np.pi * 446 * time) * (time < 1.5) + noise).astype(np.float32)


@pytest.fixture(scope="module")
def magnitude(samples):
    return spectra.stft(samples, SAMPLE_RATE)


def assert_close(found, expected):
    expected = np.squeeze(expected)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_the_spectrum(samples, magnitude):
    assert_close(magnitude, np.abs(librosa.stft(samples)))
    assert_close(spectra.decibels(magnitude), librosa.amplitude_to_db(magnitude))
    assert_close(spectra.frequencies(SAMPLE_RATE), librosa.fft_frequencies(**OF))
    assert_close(spectra.times(magnitude, SAMPLE_RATE), librosa.times_like(magnitude, sr=SAMPLE_RATE))


def test_what_is_made_of_bands(magnitude):
    mel = spectra.mel(magnitude, SAMPLE_RATE)
    assert_close(mel, librosa.power_to_db(librosa.feature.melspectrogram(S=magnitude**2, **OF)))
    assert_close(spectra.mel_frequencies(128, SAMPLE_RATE), librosa.mel_frequencies(130, fmax=SAMPLE_RATE / 2)[1:-1])
    assert_close(spectra.mfcc(mel), librosa.feature.mfcc(S=mel, n_mfcc=spectra.N_MFCC))
    assert_close(spectra.chroma(magnitude, SAMPLE_RATE), librosa.feature.chroma_stft(S=magnitude**2, **OF))


def test_what_is_made_of_frames(samples, magnitude):
    centres = spectra.centres(magnitude, SAMPLE_RATE)
    assert_close(centres["centroid"], librosa.feature.spectral_centroid(S=magnitude, **OF))
    assert_close(centres["roll-off"], librosa.feature.spectral_rolloff(S=magnitude, **OF))
    for name, found in spectra.bandwidths(magnitude, SAMPLE_RATE).items():
        assert_close(found, librosa.feature.spectral_bandwidth(S=magnitude, p=int(name[-1]), **OF))
    np.testing.assert_array_equal(spectra.zero_crossings(samples), librosa.zero_crossings(samples, pad=False))
