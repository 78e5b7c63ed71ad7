"""Every file found becomes a row, read or set aside with the reason."""

from __future__ import annotations

import os
import shutil
import subprocess

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from conftest import noise, write_audio
from earshot import files
from earshot.audio import decode
from earshot.datasets import examine, manifest
from earshot.datasets.card import load_card
from earshot.stages import manifest as manifest_stage


@pytest.fixture
def folder(project):
    """A dataset `birds` with two class folders of two good files each."""
    project.card(
        "birds",
        source={"folder": "."},
        layout={"kind": "class_folders", "named_after_class": True},
        known_bad={"crow/crow.00054.wav": "torn off when it was published"},
    )
    raw = project.data("raw", "birds")
    for number, name in enumerate(["crow/crow.1.wav", "crow/crow.2.wav", "wren/wren.1.wav", "wren/wren.2.wav"]):
        write_audio(raw / name, noise(2.5, 8000, seed=number), 8000)
    return raw


def build(folder):
    return examine.build(load_card("birds"), folder, shortest=2.0, silence_dbfs=-80).set_index("path")


def run(*arguments):
    return CliRunner().invoke(manifest_stage.main, arguments)


def test_good_files_are_read(folder):
    rows = build(folder)
    assert list(rows["status"]) == ["read"] * 4
    assert list(rows["label"]) == ["crow", "crow", "wren", "wren"]
    assert (rows["seconds"] == 2.5).all() and (rows["sample_rate"] == 8000).all()
    assert list(rows["group"]) == list(rows.index), "without a table of groups each recording is its own"


def put(value):
    def write(path):
        samples = noise(2.5, 8000)
        samples[7] = value
        write_audio(path, samples, 8000, subtype="FLOAT")

    return write


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("crow/x.wav", lambda path: path.write_bytes(b"RIFF, but no more than that"), "does not decode"),
        ("crow/x.mp3", lambda path: path.write_bytes(bytes(5000)), "does not decode"),
        ("crow/x.wav", lambda path: path.write_bytes(b""), "empty"),
        ("crow/x.wav", lambda path: write_audio(path, noise(0, 8000), 8000), "empty"),
        (
            "crow/x.wav",
            lambda path: write_audio(path, noise(1.9, 8000), 8000),
            "shorter than a window: 1.90 s, and windows.birds.length is 2.0",
        ),
        ("crow/x.wav", lambda path: write_audio(path, np.zeros(24000), 8000), "silent"),
        ("crow/x.wav", put(np.nan), "not finite"),
        ("crow/x.wav", put(3e38), "not finite"),  # resampled, it would be infinite
        (
            "crow/wren.3.wav",
            lambda path: write_audio(path, noise(2.5, 8000, seed=9), 8000),
            "wrong label folder",
        ),
        ("x.wav", lambda path: write_audio(path, noise(2.5, 8000, seed=9), 8000), "no class folder"),
        (
            "wren/x.wav",
            lambda path: shutil.copy(path.parent.parent / "crow/crow.1.wav", path),
            "duplicate bytes",
        ),
    ],
)
def test_a_bad_file_is_set_aside_with_its_reason(folder, name, make, reason):
    make(folder / name)
    rows = build(folder)
    assert len(rows) == 5
    assert (rows.loc[name, "status"], rows.loc[name, "reason"]) == ("set aside", reason)
    assert (rows.drop(name)["status"] == "read").all()


def test_a_known_bad_file_is_set_aside_as_such(folder):
    (folder / "crow/crow.00054.wav").write_bytes(b"RIFF")
    reason = build(folder).loc["crow/crow.00054.wav", "reason"]
    assert reason == "does not decode (known: torn off when it was published)"


def test_more_than_a_share_set_aside_stops_the_pipeline(folder, project):
    (folder / "crow/x.wav").write_bytes(b"")
    done = run("birds")
    assert done.exit_code == 1 and not project.data("manifest", "birds.parquet").exists()
    for said in ("1 of 5 files", "manifest.max_set_aside (0.1)", "crow/x.wav: empty"):
        assert said in done.output


def test_counts_go_to_the_terminal_and_to_a_file(folder, project):
    (folder / "crow/x.wav").write_bytes(b"")
    project.params(manifest={"max_set_aside": 0.5, "silence_dbfs": -80.0})
    done = run("birds")
    assert "birds: 4 files read, set aside: 1 empty" in done.output
    table = files.read_table(project.data("manifest", "birds.parquet"))
    assert len(table) == 5 and list(table.columns) == manifest.COLUMNS


def test_a_table_of_groups_is_joined_by_file_name(folder, project):
    layout = {"kind": "class_folders", "groups": {"file": "who.csv", "filename": "name", "group": "bird"}}
    project.card("birds", source={"folder": "."}, layout=layout)
    (folder / "who.csv").write_text("name,bird\ncrow.1.wav,7\ncrow.2.wav,7\nwren.1.wav,8\n")
    rows = build(folder)
    assert len(rows) == 4, "the table itself is no recording"
    assert list(rows["group"].fillna("none")) == ["7", "7", "8", "none"]
    (folder / "who.csv").write_text("file,bird\ncrow.1.wav,7\n")
    assert "who.csv has no column name; it has file, bird" in run("birds").output


def test_a_name_that_is_not_utf8_is_told_with_the_way_out(folder):
    os.rename(folder / "crow" / "crow.1.wav", os.fsencode(folder / "crow") + b"/caf\xe9.wav")
    done = run("birds")
    assert done.exit_code == 1 and r"1 file(s) is not in UTF-8, such as crow/caf\xe9.wav. Rename" in done.output


def test_groups_called_na_and_recordings_without_one_are_counted(folder, project):
    layout = {"kind": "class_folders", "groups": {"file": "who.csv", "filename": "name", "group": "bird"}}
    project.card("birds", source={"folder": "."}, layout=layout)
    (folder / "who.csv").write_text("name,bird\ncrow.1.wav,NA\ncrow.2.wav,None\nwren.1.wav,8\n")
    done = run("birds")
    assert "no group in who.csv: 1 recordings, which the grouped split will not have" in done.output
    assert files.read_json(project.data("manifest", "birds.json"))["without_group"] == 1
    assert list(manifest.read("birds")["group"].dropna()) == ["NA", "None", "8"]


def test_sample_rates_that_give_the_class_away_are_told(folder):
    assert not manifest.counts(build(folder))["warnings"]
    for name in ("wren/wren.1.wav", "wren/wren.2.wav"):
        write_audio(folder / name, noise(2.5, 16000, seed=int(name[10])), 16000)
    (warning,) = manifest.counts(examine.build(load_card("birds"), folder, 2.0, -80))["warnings"]
    assert "crow 8000 Hz, wren 16000 Hz" in warning and "above 4000 Hz" in warning


def test_a_missing_long_recording_is_named(project):
    layout = {"kind": "long_recordings", "recordings": {"a": "a.wav", "b": "b.wav"}}
    project.card("two", source={"folder": "."}, layout=layout)
    write_audio(project.data("raw", "two", "a.wav"), noise(5, 8000), 8000)
    assert "b.wav is missing: the card of two names it for class 'b'" in run("two").output


def test_a_table_of_groups_is_not_taken_for_a_dataset(project):
    assert "gtzan_artists holds no recordings: take it out of datasets" in run("gtzan_artists").output


FORMATS = [
    ("wav", "PCM_U8", 0.01),
    ("wav", "PCM_16", 1e-4),
    ("wav", "PCM_24", 1e-6),
    ("wav", "PCM_32", 1e-7),
    ("wav", "FLOAT", 1e-7),
    ("wav", "DOUBLE", 1e-7),
    ("flac", "PCM_16", 1e-4),
    ("flac", "PCM_24", 1e-6),
    ("au", "PCM_16", 1e-4),
    ("ogg", "VORBIS", 0.2),
    ("mp3", "MPEG_LAYER_III", 0.2),
]


@pytest.mark.parametrize(("suffix", "subtype", "tolerance"), FORMATS)
@pytest.mark.parametrize("channels", [1, 2])
def test_formats_are_read_as_mono_at_any_rate(tmp_path, suffix, subtype, tolerance, channels):
    time = np.arange(44100) / 44100
    samples = np.stack([0.4 * np.sin(2 * np.pi * 440 * time)] * channels, axis=1)
    path = write_audio(tmp_path / f"a.{suffix}", samples, 44100, subtype=subtype)
    same_rate, half_rate = decode.load(path, 44100), decode.load(path, 22050)
    assert len(same_rate) == pytest.approx(44100, abs=2500) and len(half_rate) == pytest.approx(22050, abs=1250)
    if tolerance < 0.1:
        assert np.abs(same_rate - samples[:, 0]).max() < tolerance
    for loaded, rate in ((same_rate, 44100), (half_rate, 22050)):
        spectrum = np.abs(np.fft.rfft(loaded * np.hanning(len(loaded))))
        assert spectrum.argmax() * rate / len(loaded) == pytest.approx(440, abs=2)


def test_reading_is_librosas(tmp_path):
    import librosa

    path = write_audio(tmp_path / "a.wav", noise(1.5, 44100, channels=2), 44100)
    theirs, _ = librosa.load(path, sr=16000)
    assert np.allclose(decode.load(path, 16000), theirs, atol=1e-6)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="m4a needs ffmpeg, which is not installed")
def test_m4a_is_read_where_ffmpeg_is_there(tmp_path):
    wav = write_audio(tmp_path / "a.wav", 0.4 * np.sin(np.arange(32000) * 0.2), 16000)
    path = tmp_path / "a.m4a"
    subprocess.run(["ffmpeg", "-loglevel", "error", "-i", wav, path], check=True)
    assert np.abs(decode.load(path, 16000)).max() == pytest.approx(0.4, abs=0.1)


def test_m4a_that_does_not_decode_is_a_value_error(tmp_path):
    (tmp_path / "a.m4a").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match="m4a"):
        decode.read(tmp_path / "a.m4a")


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
@pytest.mark.parametrize("size", [1, 7, 4096])
def test_buffers_of_a_decoder_become_whole_frames_wherever_they_end(channels, size):
    pcm = np.arange(500 * channels, dtype="<i2").reshape(-1, channels)
    buffers = [pcm.tobytes()[first : first + size] for first in range(0, pcm.nbytes, size)]
    assert np.array_equal(np.concatenate(list(decode.frames_of(buffers, channels))), pcm)


def test_soundfile_knows_the_formats_we_promise():
    assert {"WAV", "FLAC", "OGG", "MP3", "AU", "AIFF"} <= set(soundfile.available_formats())
