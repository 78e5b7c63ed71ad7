"""Each input is what its source says: compared with librosa's and scipy's own functions."""

from __future__ import annotations

import itertools

import librosa
import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import reference
from conftest import PROJECT, noise, tone
from earshot import inputs
from earshot.audio.cut import stretches
from earshot.errors import EarshotError
from earshot.inputs.log_spectrogram import LEAST

PARAMS = yaml.safe_load((PROJECT / "params.yaml").read_text())
OWN = [name for name, settings in PARAMS["features"].items() if "backbone" not in (settings or {})]


def build(name: str, task: str = "sirens", clips: bool = False, **changes) -> inputs.Input:
    params = PARAMS | {"features": PARAMS["features"] | {name: (PARAMS["features"][name] or {}) | changes}}
    return inputs.build(name, params, task, clips)


@pytest.fixture(scope="module")
def tracks() -> list[np.ndarray]:
    """Ten tracks that differ: chords of tones with vibrato and noise, at 22050 Hz."""
    rng = np.random.default_rng(3)
    found = []
    for number in range(10):
        time = np.arange(4 * 22050) / 22050
        track = 0.02 * (number + 1) * noise(4, 22050, seed=number)[:, 0]
        for frequency in rng.uniform(80, 3000, 4):
            track += 0.1 * np.sin(2 * np.pi * frequency * time + 3 * np.sin(2 * np.pi * 5 * time)).astype(np.float32)
        found.append(track.astype(np.float32))
    return found


def test_summary_is_the_tutorials_26_columns(tracks):
    summary = build("summary", "genres", clips=True)
    ours = np.concatenate([summary.extract(track) for track in tracks])
    theirs = np.array([reference.columns(track, 22050) for track in tracks])
    assert ours.shape == (10, 26) and len(summary.columns) == 26
    assert (np.abs(ours - theirs) < 1e-4 * theirs.std(axis=0)).all()


def test_summary_has_the_columns_that_are_off_by_default(tracks):
    summary = build("summary", "genres", True, variances=True, bandwidth_orders=[2, 3, 4], n_mfcc=13)
    row = dict(zip(summary.columns, summary.extract(tracks[0])[0], strict=True))
    assert len(row) == 2 * (5 + 3 + 13)
    third = librosa.feature.spectral_bandwidth(y=tracks[0], sr=22050, p=3)
    assert row["spectral_bandwidth_3"] == pytest.approx(third.mean(), rel=1e-4)
    assert row["spectral_bandwidth_3_var"] == pytest.approx(third.var(), rel=1e-3)
    assert row["chroma_stft_var"] == pytest.approx(librosa.feature.chroma_stft(y=tracks[0], sr=22050).var(), rel=1e-3)


def test_summary_of_a_clip_reads_its_first_30_seconds():
    track = tone(440, 31, 22050)
    summary = build("summary", "genres", clips=True)
    assert np.array_equal(summary.extract(track), summary.extract(track[: 30 * 22050]))


def test_summary_of_a_long_recording_is_a_row_for_each_window():
    recording = tone(440, 5, 22050)
    rows = build("summary").extract(recording)
    assert rows.shape == (4, 26)
    assert np.allclose(rows[2], build("summary").extract(recording[2 * 22050 : 4 * 22050])[0], rtol=1e-5)


def test_mfcc_are_librosas_over_each_window_of_short_and_long_recordings_alike():
    recording = noise(6.5, 16000)[:, 0]
    for clips in (False, True):
        built = build("mfcc", "genres", clips)
        rows = built.extract(recording)
        assert rows.shape == (2, 60) and len(built.columns) == 60
        window = recording[3 * 16000 : 6 * 16000]
        power = librosa.feature.melspectrogram(y=window, sr=16000, n_fft=1024, hop_length=320, center=False)
        theirs = librosa.feature.mfcc(S=librosa.power_to_db(power, top_db=None), n_mfcc=20)
        statistics = [theirs.mean(1), theirs.std(1), np.diff(theirs).std(1)]
        assert rows[1] == pytest.approx(np.concatenate(statistics), abs=1e-3)


def finished(built: inputs.Input, recording: np.ndarray, start: float, length: float) -> np.ndarray:
    """Return a window as the model sees it, cut out of the recording's rows."""
    first = round(built.first_row(start))
    rows = torch.from_numpy(built.extract(recording)[first : first + built.n_rows(length)])
    return built.finish(rows[None])[0].numpy()


def tutorial_log_spectrogram(window: np.ndarray) -> np.ndarray:
    """The siren tutorial's normalised log spectrogram of one window of 2 s."""
    spectrogram = reference.log_spectrogram(window)
    return (spectrogram - spectrogram.mean(axis=0)) / spectrogram.std(axis=0)


@pytest.mark.parametrize("start", [0, 1, 3])
def test_log_spectrogram_of_a_window_is_scipys(start):
    recording = noise(6, 16000)[:, 0]
    window = recording[start * 16000 : (start + 2) * 16000]
    ours = finished(build("log_spectrogram"), recording, start, 2.0)
    assert ours.shape == (199, 161)
    assert np.abs(ours - tutorial_log_spectrogram(window)).max() < 5e-5


def test_log_spectrogram_before_normalising_is_as_near_to_the_exact_values_as_scipys():
    recording = tone(900, 6, 16000) + noise(6, 16000)[:, 0] * np.float32(1e-4)

    exact = reference.log_spectrogram(recording.astype(np.float64))
    both = build("log_spectrogram").extract(recording) + np.log(1e-10), reference.log_spectrogram(recording)
    ours, theirs = (np.abs(rows - exact).max() for rows in both)
    assert ours < 1.1 * theirs < 1e-2


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("block", [7, 1000, 44100, 10**6])
def test_rows_do_not_depend_on_where_blocks_end(name, block):
    recording = np.concatenate([noise(4, 16000)[:, 0], tone(440, 3.3, 16000)])
    built = build(name)
    blocks = [recording[first : first + block] for first in range(0, len(recording), block)]
    whole = np.concatenate(list(built.rows([recording])))
    assert np.array_equal(np.concatenate(list(built.rows(blocks))), whole)


@settings(max_examples=200)
@given(
    st.integers(0, 300),
    st.integers(1, 40),
    st.floats(1, 60),
    st.integers(1, 5),
    st.lists(st.integers(0, 300), max_size=9),
)
def test_stretches_hold_each_row_once(n_samples, length, hop, at_once, ends):
    recording = np.arange(n_samples, dtype=np.float32)
    bounds = [0, *sorted(end for end in ends if end <= n_samples), n_samples]
    found = stretches([recording[a:b] for a, b in itertools.pairwise(bounds)], length, hop, at_once)
    rows = [row for row in range(n_samples + 1) if round(row * hop) + length <= n_samples]
    wanted = [rows[first : first + at_once] for first in range(0, len(rows), at_once)]
    assert [(s[0], s[-1]) for s in found] == [(round(r[0] * hop), round(r[-1] * hop) + length - 1) for r in wanted]


@pytest.mark.parametrize("level", [0.0, 1e-7, 1e-6, 1e-5])
def test_log_spectrogram_of_bins_without_sound_is_not_rounding_blown_up(level):
    traffic = noise(2, 16000)[:, 0]
    spectrum = np.fft.rfft(traffic)
    spectrum[len(spectrum) // 2 :] *= level  # what a lossy codec leaves of the high frequencies
    recording = np.fft.irfft(spectrum).astype(np.float32)
    exact = reference.log_spectrogram(recording.astype(np.float64))
    exact -= exact.mean(axis=0)
    exact /= np.maximum(exact.std(axis=0), LEAST)
    assert np.abs(finished(build("log_spectrogram"), recording, 0, 2.0) - exact).max() < 1e-2


def test_log_spectrogram_of_silence_is_zero_not_nan():
    assert np.array_equal(finished(build("log_spectrogram"), np.zeros(32000, np.float32), 0, 2.0), np.zeros((199, 161)))


@pytest.mark.parametrize("start", [0, 2])
def test_log_mel_of_a_window_is_librosas(start):
    recording = tone(700, 5, 16000)
    window = recording[start * 16000 : (start + 2) * 16000]
    ours = finished(build("log_mel"), recording, start, 2.0)
    assert ours.shape == (97, 128)
    assert np.abs(ours - reference.log_mel(window)).max() < 1e-3


@pytest.mark.parametrize("start", [0, 3])
@pytest.mark.parametrize("changes", [{}, {"gain": 0.8, "bias": 10.0, "power": 0.25, "time_constant": 0.06}])
def test_pcen_of_a_window_is_librosas(start, changes):
    recording = tone(700, 5, 16000) + 0.01 * noise(5, 16000)[:, 0]
    recording[: 3 * 16000 + 9000] *= 0.001  # an onset in the second window, and in the first nothing of it
    built = build("pcen_mel", **changes)
    ours = finished(built, recording, start, 2.0)
    window = recording[start * 16000 : (start + 2) * 16000]
    energy = librosa.feature.melspectrogram(y=window, sr=16000, n_fft=1024, hop_length=320, center=False).T * 2.0**30
    chosen = {name: getattr(built, name) for name in ("gain", "bias", "power", "time_constant")}
    zi = (1 - built.smoothing) * energy[:1]  # as if the first frame had lasted for ever
    assert ours == pytest.approx(librosa.pcen(energy, sr=16000, hop_length=320, axis=0, zi=zi, **chosen), abs=1e-4)


def test_pcen_hears_nothing_of_the_level_of_a_recording():
    recording = tone(700, 2, 16000) + 0.01 * noise(2, 16000)[:, 0]
    loud, quiet = (finished(build("pcen_mel", gain=1.0), recording * level, 0, 2.0) for level in (1, 0.01))
    assert loud == pytest.approx(quiet, abs=0.01)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_waveform_keeps_16_bit_exactly(seed):
    samples = np.random.default_rng(seed).integers(-32768, 32768, 500) / 32768
    ours = finished(build("waveform"), np.resize(samples.astype(np.float32), 32000), 0, 2.0)
    assert ours.shape == (32000, 1)
    assert np.array_equal(ours[:500, 0], samples.astype(np.float32))


def test_waveform_clips_what_is_over_full_scale():
    assert build("waveform").extract(np.array([1.5, -1.5])).ravel().tolist() == [32767, -32768]


@pytest.mark.parametrize("name", ["waveform", "log_spectrogram", "log_mel", "pcen_mel"])
def test_rows_of_the_last_window_are_all_there(name):
    built = build(name)
    n_rows = len(built.extract(noise(10, 16000)[:, 0]))
    assert round(built.first_row(8.0)) + built.n_rows(2.0) <= n_rows


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("log_mel", {"n_mel": 64}, "features.log_mel in params.yaml.*n_mel"),
        ("pcen_mel", {"power": 0.0}, "features.pcen_mel in params.yaml: power is 0.0, and must be above 0"),
        ("pcen_mel", {"gain": 1.5}, "features.pcen_mel in params.yaml: gain is 1.5, and must be from 0 to 1"),
        ("log_spectrogram", {"noverlap": 73}, "do not start on a frame of log_spectrogram"),
    ],
)
def test_a_wrong_setting_is_named(name, changes, said):
    with pytest.raises(EarshotError, match=said):
        build(name, **changes)


def test_an_unknown_input_is_named():
    with pytest.raises(EarshotError, match="no input is called 'cepstrum'.*summary, waveform"):
        inputs.build("cepstrum", PARAMS, "sirens", False)
