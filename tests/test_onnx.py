"""Exported models: the same probabilities from the samples on, computed by onnxruntime."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import scipy.fft
import scipy.signal
import torch
import yaml
from click.testing import CliRunner

from conftest import PROJECT, noise, tone, write_audio
from earshot import inputs, models
from earshot.audio import spectrum
from earshot.cli import main
from earshot.deploy.onnx.export import export
from earshot.deploy.onnx.layers import PowerSpectrum, frames_of
from earshot.deploy.onnx.rows import LogSpectrogramRows, WaveformRows
from earshot.deploy.onnx.summary import SummaryRows
from earshot.deploy.onnx.tuning import TUNINGS, Tuning
from earshot.inputs import librosa_features
from earshot.trained import model_folder, predict
from earshot.training import fit
from test_docs import blocks
from test_inputs import PARAMS, build
from tiny import FEATURES, RATE

WINDOW = {"length": 0.4, "hop": 0.2}  # short: torch looks at each step of an LSTM


def model(place: Path, name: str, network: str, wiring: str = "as_coded", clips: bool = False) -> Path:
    """Write a small model of random weights, larger than a training begins with, so that each sound has its scores."""
    features = {kind: (PARAMS["features"][kind] or {}) | FEATURES.get(kind, {}) for kind in PARAMS["features"]}
    params = PARAMS | {"features": features, "audio": {"sample_rate": RATE}, "windows": {"default": WINDOW}}
    built = inputs.build(name, params, "sirens", clips)
    rows = built.finish(torch.from_numpy(np.stack([built.extract(sound) for sound in sounds(WINDOW["length"])])))
    chosen = yaml.safe_load((PROJECT / "conf" / "model" / f"{network}.yaml").read_text())
    chosen = chosen.get("model", chosen)  # a file that brings settings for other groups too
    chosen |= {"wiring": wiring} if "wiring" in chosen else {}
    chosen |= {"units": 8} if "units" in chosen and (name, network) == ("pcen_mel", "crnn") else {}
    classes = ["horn", "bell", "other"] if wiring == "as_described" else ["horn", "other"]
    torch.manual_seed(1)
    net = models.build(chosen, built.standardised, *rows.shape[1:], len(classes))
    if built.standardised:
        net.standardiser.set(rows.mean(dim=(0, 1)), rows.std(dim=(0, 1)))
    with torch.no_grad():
        net.train()(rows)  # so that batch normalisation has met them
        for parameter in net.parameters():
            parameter *= 1.5
        if network == "crnn":
            net.model.output.weight *= 4  # the mean over its frames moves less
    settings = {"dataset": "horns", "classes": classes, "input": inputs.recipe(name, built), "model": chosen}
    settings |= {"window_shape": rows.shape[1:], "seconds": WINDOW["length"], "hop": WINDOW["hop"]}
    fit.save(fit.Trained(settings, net.state_dict(), [], pd.DataFrame()), place / "model")
    return place / "model"


def sounds(seconds: float) -> np.ndarray:
    """Return sounds that differ in what is hard about them: float32, (sounds, samples)."""
    n = round(seconds * RATE)
    quiet = np.rint(33 * noise(seconds, RATE, seed=5)[:, 0]) / np.float32(2**15)  # some of 16 bit's last bits
    click, half = quiet.copy(), noise(seconds, RATE, seed=3)[:, 0]
    click[n // 3], half[: n // 2] = 0.9, 0
    high, low = tone(1500, seconds, RATE), tone(220, seconds, RATE, seed=1)
    coded = np.fft.rfft(noise(seconds, RATE, seed=4)[:, 0])
    coded[len(coded) // 2 :] *= 1e-6  # what a lossy codec leaves of the high frequencies
    coded = np.fft.irfft(coded, n).astype(np.float32)
    return np.stack([high, low, half, 8 * half, quiet, click, coded, np.zeros(n, np.float32)])


def exported(folder: Path) -> onnxruntime.InferenceSession:
    export(folder, folder / "model.onnx")
    return onnxruntime.InferenceSession(folder / "model.onnx")


def theirs(session: onnxruntime.InferenceSession, samples: np.ndarray) -> np.ndarray:
    return session.run(["probabilities"], {"samples": samples})[0]


def ours(folder: Path, samples: np.ndarray) -> np.ndarray:
    settings, weights = model_folder.read(folder)
    return predict.of_samples(settings, model_folder.restore(settings, weights), samples)


@pytest.mark.parametrize(
    "kind",
    [
        ("summary", "ann"),
        ("waveform", "cnn", "as_coded"),
        ("waveform", "lstm", "as_described"),
        ("log_spectrogram", "cnn", "as_described"),
        ("log_spectrogram", "lstm", "as_coded"),
        ("log_mel", "cnn", "as_coded"),
        ("log_mel", "lstm", "as_coded"),
        ("log_mel", "crnn", "as_coded"),
        ("pcen_mel", "crnn", "as_described"),
    ],
    ids="-".join,
)
def test_an_exported_model_gives_earshots_probabilities(tmp_path, kind):
    folder = model(tmp_path, *kind)
    samples = sounds(WINDOW["length"])
    expected = ours(folder, samples)
    assert np.ptp(expected, axis=0).max() > 0.1, "these sounds tell whether the numbers are right"
    session = exported(folder)
    assert np.abs(theirs(session, samples) - expected).max() < 1e-4
    assert np.abs(theirs(session, samples[:1]) - expected[:1]).max() < 1e-4, "for any number of windows"


def test_a_model_of_clips_hears_the_first_seconds_of_any_length(tmp_path):
    folder = model(tmp_path, "summary", "ann", clips=True)
    session = exported(folder)
    for seconds in (0.3, 2.5, 30, 33):
        samples = sounds(seconds)[:3]
        assert np.abs(theirs(session, samples) - ours(folder, samples)).max() < 1e-4


def test_a_file_tells_how_to_use_it_and_is_the_same_every_time(tmp_path):
    folder = model(tmp_path, "waveform", "cnn")
    for name in ("once.onnx", "again.onnx"):
        done = CliRunner().invoke(main.main, ["export", "--model", str(folder), str(tmp_path / name)])
        assert done.exit_code == 0 and name in done.output, done.output
    assert (tmp_path / "once.onnx").read_bytes() == (tmp_path / "again.onnx").read_bytes()
    session = onnxruntime.InferenceSession(tmp_path / "once.onnx")
    assert session.get_modelmeta().custom_metadata_map == {
        "classes": '["horn", "other"]',
        "sample_rate": "4000",
        "seconds": "0.4",
        "hop": "0.2",
        "dataset": "horns",
        "input": "waveform",
        "model": "cnn",
    }
    (samples,), (probabilities,) = session.get_inputs(), session.get_outputs()
    assert (samples.name, samples.type, samples.shape) == ("samples", "tensor(float)", ["windows", 1600])
    assert (probabilities.name, probabilities.type) == ("probabilities", "tensor(float)")
    assert probabilities.shape == ["windows", 2]


def test_the_example_in_the_documents_works(tmp_path, monkeypatch):
    folder = model(tmp_path, "log_mel", "cnn")
    (example,) = [code for path, code in blocks("python") if path.name == "export.md"]
    recording = sounds(WINDOW["length"]).ravel()
    write_audio(tmp_path / "street.wav", recording, RATE, subtype="FLOAT")
    export(folder, tmp_path / "siren.onnx")
    monkeypatch.chdir(tmp_path)
    with redirect_stdout(io.StringIO()) as said:
        exec(example, {})
    n, hop = round(WINDOW["length"] * RATE), round(WINDOW["hop"] * RATE)
    windows = np.stack([recording[start : start + n] for start in range(0, len(recording) - n + 1, hop)])
    expected = [
        f"{number * WINDOW['hop']:.1f} s: {('horn', 'other')[row.argmax()]} {row.max():.2f}"
        for number, row in enumerate(ours(folder, windows))
    ]
    assert said.getvalue().splitlines() == expected


def test_without_the_extra_the_line_to_type_is_told(project, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    done = CliRunner().invoke(main.main, ["export", "--model", "anywhere", "model.onnx"])
    assert done.exit_code == 1
    assert done.output == "error: earshot export needs onnxscript: pip install -e '.[onnx]'\n"


def test_a_folder_without_a_model_is_named(project):
    done = CliRunner().invoke(main.main, ["export", "--model", "nowhere", "model.onnx"])
    assert done.exit_code == 1 and "error: nowhere holds no trained model" in done.output


@pytest.mark.parametrize("n", [1, 2, 7, 80, 81, 320, 1024])
def test_a_power_spectrum_is_that_of_scipys_transform(n):
    frames = np.random.default_rng(n).standard_normal((2, 3, n))
    found = PowerSpectrum(n, torch.float64)(torch.from_numpy(frames)).numpy()
    assert found == pytest.approx(np.abs(scipy.fft.rfft(frames)) ** 2, rel=1e-9, abs=1e-9)


def test_samples_between_two_steps_of_16_bit_are_rounded_as_in_the_features():
    samples = (np.arange(-(2**15) - 2, 2**15 + 2, 0.25) / 2**15).astype(np.float32)
    built = build("waveform")
    found = WaveformRows(built)(torch.from_numpy(samples[None]))
    assert np.array_equal(found[0].numpy(), built.extract(samples))


def test_a_summarys_columns_that_are_off_by_default_are_earshots():
    built = build("summary", variances=True, bandwidth_orders=[2, 3, 4], n_mfcc=13)
    samples = np.stack([tone(440, 2, 22050), noise(2, 22050)[:, 0]])
    expected = np.concatenate([built.extract(sound) for sound in samples])
    assert SummaryRows(built)(torch.from_numpy(samples))[:, 0].numpy() == pytest.approx(expected, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("length", [1000, 1024, 1063, 3000])
@pytest.mark.parametrize(("frame", "hop"), [(80, 40), (256, 80), (81, 7), (64, 64), (10, 30)])
def test_frames_lie_wholly_in_the_sound(length, frame, hop):
    samples = np.arange(2 * length).reshape(2, length)
    expected = np.lib.stride_tricks.sliding_window_view(samples, frame, axis=1)[:, ::hop]
    assert np.array_equal(frames_of(torch.from_numpy(samples), frame, hop), expected)


@pytest.mark.parametrize("frequency", [440, 3333])
def test_an_exported_log_spectrogram_is_nearer_to_the_exact_values_than_earshots(frequency):
    built = build("log_spectrogram")
    samples = (0.3 * np.sin(2 * np.pi * frequency * np.arange(32000) / 16000)).astype(np.float32)
    _, _, density = scipy.signal.spectrogram(samples.astype(np.float64), 16000, nperseg=320, noverlap=160)
    exact = np.log1p(density.T / built.eps)
    of_graph, of_earshot = LogSpectrogramRows(built)(torch.from_numpy(samples[None])), built.extract(samples)
    assert np.abs(of_graph.numpy() - exact).max() < np.abs(of_earshot - exact).max() < 1e-2


@pytest.mark.parametrize("semitones", [-0.4, -0.07, 0.0, 0.123, 0.49])
def test_the_tuning_is_the_one_that_librosa_estimates(semitones):
    notes = 440 * 2 ** ((np.array([-19, -12, -5, 0, 4, 7, 15]) + semitones) / 12)
    chord = sum(tone(frequency, 2, 22050, seed) for seed, frequency in enumerate(notes)).astype(np.float32)
    power = np.square(np.concatenate(list(spectrum.centred(chord, 2048, 512))))
    found = Tuning(22050, 1025)(torch.from_numpy(power[None]))
    assert TUNINGS[found] == librosa_features.tuning(*librosa_features.peaks(power, 22050))


def test_silence_is_in_tune():
    assert TUNINGS[Tuning(22050, 1025)(torch.zeros(1, 4, 1025))] == 0
