"""The synthetic datasets: same bytes for same arguments, true to their published facts, and no short cuts."""

import csv
import hashlib
import inspect
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy import signal

from earshot.datasets import card
from earshot.datasets.synthetic import genres as music
from earshot.datasets.synthetic import sirens as vehicles
from earshot.datasets.synthetic import sound

PROJECT = Path(__file__).parents[1]
CLASSES = ("emergency", "non_emergency")
FEW_SIRENS = {"seed": 1, "sources": 2, "shortest": 1, "longest": 2}
FEW_GENRES = {"seed": 1, "artists": 1, "tracks": 1, "seconds": 1}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def stretches(folder: Path, name: str) -> dict[str, np.ndarray]:
    """Return the samples of each source of a class."""
    samples, _ = soundfile.read(folder / f"{name}.flac")
    found: dict[str, list[np.ndarray]] = {}
    for row in rows(folder / f"{name}.segments.csv"):
        found.setdefault(row["source"], []).append(samples[int(row["start_sample"]) : int(row["end_sample"])])
    return {source: np.concatenate(parts) for source, parts in found.items()}


def level_db(samples: np.ndarray) -> float:
    return 10 * np.log10(np.mean(samples**2))


@pytest.fixture(scope="module")
def sirens(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("sirens")
    vehicles.generate(out, seed=1, sources=22, shortest=3, longest=4)
    return out


@pytest.fixture(scope="module")
def genres(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("genres")
    music.generate(out, seed=1, artists=2, tracks=2, seconds=4)
    return out


@pytest.mark.parametrize("module, few", [(vehicles, FEW_SIRENS), (music, FEW_GENRES)])
@pytest.mark.process
def test_same_arguments_give_the_same_bytes(tmp_path, module, few):
    for name in ("once", "again", "other"):
        (tmp_path / name).mkdir()
    module.generate(tmp_path / "once", **few)
    module.generate(tmp_path / "again", **few)
    module.generate(tmp_path / "other", **few | {"seed": 2})
    assert digests(tmp_path / "once") == digests(tmp_path / "again") != digests(tmp_path / "other")


@pytest.mark.parametrize("name", ["synthetic_sirens", "synthetic_genres"])
def test_card_is_synthetic_and_fits_its_module(name, monkeypatch):
    monkeypatch.setenv("EARSHOT_ROOT", str(PROJECT))
    loaded = card.load_card(name)
    generated = loaded.source.generated
    generate = import_module(f"earshot.datasets.synthetic.{generated.module}").generate
    inspect.signature(generate).bind(Path(), **generated.arguments)
    assert loaded.label.endswith("(synthetic)")


@pytest.mark.parametrize("name", CLASSES)
def test_a_source_does_not_depend_on_the_others(name):
    short, _ = vehicles.recording(name, seed=1, sources=1, shortest=1, longest=2)
    long, _ = vehicles.recording(name, seed=1, sources=2, shortest=1, longest=2)
    np.testing.assert_array_equal(short, long[: len(short)])


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.process
def test_segments_tile_the_recording_and_no_source_comes_back(sirens, name):
    segments = rows(sirens / f"{name}.segments.csv")
    edges = [(int(row["start_sample"]), int(row["end_sample"])) for row in segments]
    assert edges[0][0] == 0 and edges[-1][1] == soundfile.info(sirens / f"{name}.flac").frames
    assert all(end == start for (_, end), (start, _) in pairwise(edges))
    assert all(start < end for start, end in edges)
    sources = [row["source"] for row in segments]
    changes = 1 + sum(a != b for a, b in pairwise(sources))
    assert changes == len(set(sources)) == 22 < len(segments)


@pytest.mark.process
def test_groups_cover_every_track_and_no_genres_share_one(genres):
    groups = {row["filename"]: row["group"] for row in rows(genres / "groups.csv")}
    tracks = {path.name: path.parent.name for path in (genres / "genres").rglob("*.flac")}
    assert set(groups) == set(tracks) and len(tracks) == 40
    assert len({(groups[name], tracks[name]) for name in tracks}) == len(set(groups.values())) == 20


@pytest.mark.parametrize(
    "siren, lowest, highest, slowest, fastest",
    [
        ("wail", 500, 1600, 10 / 60, 30 / 60),
        ("yelp", 500, 1800, 150 / 60, 250 / 60),
        ("two_tone", 360, 630, 0.6, 0.9),
        ("piercer", 500, 1800, 10, 14),
    ],
)
def test_siren_sweeps_as_published(siren, lowest, highest, slowest, fastest):
    seconds, rate = 30, vehicles.RATE
    for seed in range(5):
        track = getattr(vehicles, siren)(np.random.default_rng(seed), seconds * rate)
        tone = sound.harmonic_tone(track, [1.0], rate)
        frequency = np.diff(np.unwrap(np.angle(signal.hilbert(tone)))) * rate / (2 * np.pi)
        frequency = signal.medfilt(frequency[rate // 10 : -rate // 10], 65)
        low, high = np.quantile(frequency, [0.001, 0.999])
        assert lowest * 0.98 < low < high < highest * 1.02
        above = frequency > np.sqrt(low * high)
        cycles = np.sum(~above[:-1] & above[1:]) / seconds
        assert slowest - 1 / seconds < cycles < fastest + 1 / seconds


def test_two_tone_is_a_fourth():
    track = vehicles.two_tone(np.random.default_rng(0), 5 * vehicles.RATE)
    assert np.max(track) / np.min(track) == pytest.approx(4 / 3)


def test_pass_by_shifts_pitch_as_doppler_says():
    rate, speed = 16_000, 20.0
    tone = np.sin(2 * np.pi * 1000 * np.arange(12 * rate) / rate)
    heard = sound.pass_by(tone, 10 * rate, speed=speed, distance=5, closest=5, rate=rate)
    frequencies = np.fft.rfftfreq(rate, 1 / rate)
    first, last = (frequencies[np.argmax(np.abs(np.fft.rfft(part)))] for part in (heard[:rate], heard[-rate:]))
    assert first == pytest.approx(1000 / (1 - speed / sound.SPEED_OF_SOUND), abs=3)
    assert last == pytest.approx(1000 / (1 + speed / sound.SPEED_OF_SOUND), abs=3)


@pytest.mark.process
def test_classes_have_the_same_loudness_and_sampling_rate(sirens):
    levels = [[level_db(samples) for samples in stretches(sirens, name).values()] for name in CLASSES]
    np.testing.assert_allclose(*levels, atol=0.1)
    assert len({soundfile.info(sirens / f"{name}.flac").samplerate for name in CLASSES}) == 1


@pytest.mark.process
def test_no_single_feature_tells_sirens_from_traffic(sirens):
    features, classes = [], []
    for name in CLASSES:
        for samples in stretches(sirens, name).values():
            for window in np.split(samples, range(16_000, len(samples), 16_000))[:-1]:
                features.append(summary(window))
                classes.append(name)
    emergency = np.array(classes) == "emergency"
    for column in np.array(features).T:
        thresholds = np.quantile(column, np.linspace(0.05, 0.95, 50))
        right = [np.mean((column > threshold) == emergency) for threshold in thresholds]
        assert min(right) > 0.25 and max(right) < 0.75


def summary(window: np.ndarray) -> list[float]:
    """Return level, crest, zero crossings, centroid, bandwidth, 85 % roll-off and share of 0.3-2 kHz."""
    power = np.abs(np.fft.rfft(window * np.hanning(len(window)))) ** 2
    share = power / power.sum()
    frequency = np.linspace(0, 8000, len(share))
    centroid = np.sum(share * frequency)
    return [
        level_db(window),
        np.max(np.abs(window)) / np.sqrt(np.mean(window**2)),
        np.mean(np.diff(np.signbit(window))),
        centroid,
        np.sqrt(np.sum(share * (frequency - centroid) ** 2)),
        frequency[np.argmax(np.cumsum(share) > 0.85)],
        share[(frequency > 300) & (frequency < 2000)].sum(),
    ]


@pytest.mark.process
def test_nothing_is_clipped(sirens, genres):
    for path in [*sirens.glob("*.flac"), *(genres / "genres").rglob("*.flac")]:
        samples, _ = soundfile.read(path)
        assert np.all(np.isfinite(samples)) and 0 < np.max(np.abs(samples)) < 0.99


@pytest.mark.process
def test_tracks_of_one_artist_sound_alike(genres):
    groups = {row["filename"]: row["group"] for row in rows(genres / "groups.csv")}
    spectra = {}
    for path in (genres / "genres").rglob("*.flac"):
        samples, rate = soundfile.read(path)
        _, power = signal.welch(samples / np.sqrt(np.mean(samples**2)), rate, nperseg=2048)
        bands = np.array_split(np.log(power), np.geomspace(4, 900, 20).astype(int))
        spectra[path.name] = np.array([band.mean() for band in bands])
    same, other = [], []
    for a in spectra:
        for b in spectra:
            if a < b and a.split(".")[0] == b.split(".")[0]:
                (same if groups[a] == groups[b] else other).append(np.linalg.norm(spectra[a] - spectra[b]))
    assert np.mean(same) < 0.8 * np.mean(other)
