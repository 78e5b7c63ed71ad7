"""Sounds to be seen and heard: what the spectra measure, what a page holds, what is said of what is no sound."""

from __future__ import annotations

import base64
import io
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from PIL import Image

from conftest import invoke, noise, tone, write_audio
from earshot.audio import decode
from earshot.cli import main
from earshot.explore import spectra
from earshot.explore.dataset import embed
from earshot.explore.survey import dbfs, survey
from earshot.stages import manifest as manifest_stage
from tiny import RATE


def explore(*arguments) -> str:
    done = CliRunner().invoke(main.main, ["explore", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    return Path(done.output.removeprefix("written: ").strip()).read_text()


def refusal(*arguments) -> str:
    """Return the one line that a command ends with."""
    done = CliRunner().invoke(main.main, ["explore", *map(str, arguments)])
    assert done.exit_code == 1 and isinstance(done.exception, SystemExit)
    assert done.output.startswith("error: ") and done.output.count("\n") == 1
    return done.output


def embedded(page: str, kind: str) -> list[bytes]:
    return [base64.b64decode(data) for data in re.findall(rf'(?:src|href)="data:{kind};base64,([^"]+)"', page)]


def sine(frequency: float, amplitude: float, sample_rate: int = 100, seconds: float = 1) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(round(sample_rate * seconds)) / sample_rate)


@pytest.mark.parametrize("sines", [{3: 1.0}, {11: 2.0}, {3: 1.0, 11: 2.0}])
def test_the_tutorials_sines_are_peaks_of_their_amplitudes_and_nothing_else(sines):
    samples = sum(sine(frequency, amplitude) for frequency, amplitude in sines.items())
    frequency, amplitude = spectra.power_spectrum(samples, 100)
    wanted = np.zeros(51)
    wanted[list(sines)] = list(sines.values())
    np.testing.assert_allclose(frequency, np.arange(51))
    np.testing.assert_allclose(amplitude, wanted, atol=1e-12)


@pytest.mark.parametrize("n", [99, 100])
def test_a_constant_and_the_highest_frequency_have_their_amplitude_too(n):
    assert spectra.power_spectrum(np.full(n, 0.5), 100)[1][0] == pytest.approx(0.5)
    alternating = 0.5 * (-1.0) ** np.arange(100)
    assert spectra.power_spectrum(alternating, 100)[1][-1] == pytest.approx(0.5)


@pytest.mark.parametrize("rate", [16000, 22050])  # windows of an even and an odd number of samples
def test_a_column_of_the_log_spectrogram_holds_the_power_of_its_window(rate):
    samples = noise(1, rate)[:, 0].astype(np.float64)
    frequency, time, density = spectra.log_spectrogram(samples, rate)
    length, hop = round(0.02 * rate), rate // 100
    window = np.hanning(length)
    assert len(time) == (len(samples) - length) // hop + 1
    for number in (0, 7, len(time) - 1):
        inside = samples[number * hop : number * hop + length] * window
        power = np.exp(density[:, number]).sum() * frequency[1]
        assert power == pytest.approx(np.square(inside).sum() / np.square(window).sum(), rel=1e-6)
        assert time[number] == pytest.approx((number * hop + length / 2) / rate)


def test_nothing_above_the_highest_frequency_asked_for_is_left():
    frequency, _, density = spectra.log_spectrogram(noise(1, 16000)[:, 0], 16000)
    shown, values = spectra.below(frequency, density, 4000)
    assert shown[-1] == 4000 and values.shape == (81, density.shape[1])
    np.testing.assert_array_equal(values, density[:81])
    assert spectra.below(frequency, density, None)[1] is not None and len(spectra.below(frequency, density, 1)[0]) == 2


def test_a_tone_has_its_pitch_its_centroid_and_its_crossings():
    samples = sine(880, 0.5, 22050, seconds=2).astype(np.float32)
    magnitude = spectra.stft(samples, 22050)
    inside = slice(4, -4)  # frames that do not reach over the ends
    hz = spectra.frequencies(22050)[magnitude[:, inside].argmax(axis=0)]
    assert np.abs(hz - 880).max() < 22050 / 2048
    assert set(spectra.chroma(magnitude, 22050)[:, inside].argmax(axis=0)) == {9}  # A
    assert spectra.centres(magnitude, 22050)["centroid"][inside] == pytest.approx(880, rel=0.01)
    bands = spectra.mel(magnitude, 22050)
    assert np.abs(spectra.mel_frequencies(len(bands), 22050)[bands[:, inside].argmax(axis=0)] - 880).max() < 30
    assert abs(spectra.zero_crossings(samples).sum() - 2 * 2 * 880) <= 1


def test_the_bandwidth_of_a_higher_order_is_wider():
    widths = spectra.bandwidths(spectra.stft(tone(500, 1, 16000), 16000), 16000)
    assert (widths["p = 2"] < widths["p = 3"]).all() and (widths["p = 3"] < widths["p = 4"]).all()


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 192000])
def test_the_windows_of_the_transform_are_alike_long_at_all_rates(rate):
    assert 2**-0.5 < spectra.n_fft(rate) / rate / (2048 / 22050) < 2**0.5
    assert spectra.n_fft(22050) == 2048 and spectra.hop_length(22050) == 512


def test_a_survey_is_what_the_whole_recording_says(tmp_path):
    path = write_audio(tmp_path / "long.wav", noise(40, 16000, channels=2), 16000)
    samples, _ = decode.read(path)
    assert len(samples) > decode.BLOCK
    found = survey(path, start=32.5, seconds=2)  # across the end of the first block
    np.testing.assert_array_equal(found.samples, samples[520000:552000].mean(axis=1))
    assert (found.seconds, found.channels, found.span, found.is_whole) == (40, 2, (32.5, 34.5), False)
    assert found.peak == np.abs(samples).max()
    assert found.rms == pytest.approx(np.sqrt(np.square(samples, dtype=np.float64).mean()))
    start, low, high = found.outline
    assert (low.min(), high.max()) == (samples.mean(axis=1).min(), samples.mean(axis=1).max())
    assert np.diff(start).max() <= 0.01 + 1e-9 and start[-1] < 40
    assert survey(path).is_whole is False and survey(path, seconds=40).is_whole


def test_a_long_recording_takes_no_more_memory_than_its_excerpt(tmp_path):
    n = 20 * decode.BLOCK
    path = write_audio(tmp_path / "long.wav", np.zeros(n, np.float32), 48000)
    tracemalloc.start()
    survey(path, seconds=1)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4 * n / 2  # half of its samples


def test_the_page_of_a_sound_has_all_pictures_and_asks_for_nothing_else(project):
    path = write_audio(project.root / "a tone.flac", tone(440, 3, 16000), 16000)
    page = explore(path, "--start", 1, "--seconds", 1.5)
    folder = project.data("explore", "a tone")
    pictures = {one.stem for one in folder.glob("*.png")}
    assert pictures >= {"whole-recording", "waveform", "power-spectrum", "stft", "stft-in-db", "log-spectrogram"}
    assert pictures >= {"mel-spectrogram", "mfcc", "chroma", "centroid-and-roll-off", "bandwidth", "zero-crossings"}
    assert page.count("<svg") == len(pictures) == 12
    for picture in folder.glob("*.png"):
        Image.open(picture).verify()
    assert set(re.findall(r'(?:src|href)="([^#"]{5})', page)) == {"data:"} and "url(http" not in page
    heard, rate = soundfile.read(io.BytesIO(*embedded(page, "audio/mpeg")))
    assert len(heard) / rate == pytest.approx(1.5, abs=0.1)
    for fact in ("3 s", "16\u202f000 Hz", "Free Lossless Audio Codec", "Signed 16 bit PCM", "Seconds 1 to 2.5 of 3"):
        assert fact in page


def test_the_same_sound_gives_the_same_bytes(project):
    path = write_audio(project.root / "tone.wav", tone(440, 0.3, 8000), 8000)
    first, again = explore(path, "--max-freq", 1000), explore(path, "--max-freq", 1000, "--out", project.root / "again")
    assert first == again
    for picture in project.data("explore", "tone").glob("*.png"):
        assert picture.read_bytes() == (project.root / "again" / picture.name).read_bytes()


ODD = {
    "silence.wav": (np.zeros(8000), 16000),
    "eight channels at 192 kHz.wav": (noise(0.2, 192000, channels=8), 192000),
    "the tutorial's rate.wav": (sine(3, 1.0), 100),
    "<b> a click.wav": (noise(0.021, 22050), 22050),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ODD)
def test_odd_sounds_have_a_page(project, name):
    samples, rate = ODD[name]
    page = explore(write_audio(project.root / name, samples, rate))
    assert len(embedded(page, "audio/mpeg")) == 1
    said = re.sub(r'base64,[^"]+', "", page)
    assert "nan" not in said and "<b>" not in said and ("−∞ dBFS" in said) == (name == "silence.wav")


def test_levels_are_relative_to_full_scale():
    assert dbfs(1) == 0 and dbfs(2) == pytest.approx(6.02, abs=0.01) and dbfs(0) == -np.inf


def test_what_is_no_sound_is_refused_in_one_line(project):
    root = project.root
    broken = noise(1, 16000)
    broken[12000] = np.nan
    assert "pictures need 0.02 s" in refusal(write_audio(root / "one.wav", np.ones(1), 16000))
    assert "holds no sound" in refusal(write_audio(root / "none.wav", np.ones(0), 16000))
    assert "at 0.750 s" in refusal(write_audio(root / "broken.wav", broken, 16000, subtype="FLOAT"))
    (root / "text.wav").write_text("hello")
    (root / "bare.raw").write_bytes(bytes(100))
    for name in ("text.wav", "bare.raw"):
        assert name in (said := refusal(root / name)) and "can't be decoded" in said
    assert "a folder, not a file" in refusal(root)
    assert "neither a file nor a dataset" in (said := refusal("nothing.wav")) and "gtzan_mini" in said
    good = write_audio(root / "good.wav", noise(1, 16000), 16000)
    for wrong in (["--start", 9], ["--start", "inf"], ["--seconds", 0]):
        assert "See --start and --seconds" in refusal(good, *wrong)


def test_the_page_of_a_dataset_shows_and_plays_every_class(shared):
    page = explore("tunes", "--workers", 1)
    assert "15 recordings of 3 classes" in page and "Embedding" in page and "of the variance" in page
    assert len(embedded(page, "audio/mpeg")) == len(embedded(page, "image/png")) - 1 == 3  # and the embedding's points
    folder = shared.data("explore", "tunes")
    assert {one.stem for one in folder.glob("*.png")} == {"class-balance", "duration", "loudness", "embedding"}
    drawn = {path.relative_to(folder / "spectrograms").as_posix() for path in folder.glob("spectrograms/*/*")}
    labels = ("high", "low", "middle") * 5
    assert drawn == {f"{label}/{label}.{number}.png" for number, label in enumerate(labels)}
    picture = Image.open(folder / "spectrograms" / "high" / "high.0.png")
    assert picture.size == ((4 * RATE - 128) // (2048 - 128), 1025)
    light = np.asarray(picture.convert("L")).mean(axis=1)[::-1]
    assert light.argmax() == pytest.approx(1500 * 2048 / RATE, abs=2)  # its tone


def test_a_dataset_of_long_recordings_has_a_page(shared):
    page = explore("horns", "--workers", 1)
    assert "2 recordings of 2 classes" in page and "The class: 1 recording," in page
    assert (shared.data("explore", "horns") / "spectrograms" / "horn" / "horn.png").exists()


@pytest.mark.process
def test_recordings_that_differ_in_their_suffix_alone_have_a_picture_each(project):
    project.card("twice", source={"folder": "."}, layout={"kind": "class_folders"})
    for number, name in enumerate(("a/one.wav", "a/one.flac", "a/deep/two.wav", "b/one.wav")):
        write_audio(project.data("raw", "twice", name), tone(300 + 100 * number, 3, 8000, seed=number), 8000)
    invoke(manifest_stage.main, "twice")
    page = explore("twice", "--workers", 1)
    folder = project.data("explore", "twice", "spectrograms")
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")}
    assert names == {"a/one.wav.png", "a/one.flac.png", "a/deep/two.png", "b/one.png"}
    assert "<code>dvc repro features@twice</code>" in page


def test_a_dataset_that_was_not_read_yet_names_the_stage(project):
    assert "`dvc repro manifest@synthetic_genres`" in refusal("synthetic_genres")
    assert "holds no recordings" in refusal("gtzan_artists")


def test_the_embedding_is_that_of_the_standardised_features():
    rng = np.random.default_rng(0)
    features = rng.standard_normal((50, 6)) @ rng.standard_normal((6, 6)) * [1, 10, 100, 1, 1, 1]
    points, shares = embed(features)
    standardised = (features - features.mean(axis=0)) / features.std(axis=0)
    variances = np.linalg.svd(standardised, compute_uv=False) ** 2
    np.testing.assert_allclose(shares, variances[:2] / variances.sum())
    np.testing.assert_allclose(np.square(points).sum(axis=0), variances[:2])
