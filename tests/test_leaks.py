"""The leak audit: what it must find, and what it must not."""

from __future__ import annotations

import io
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import PROJECT, Project, invoke, noise, tone, write_audio
from earshot import files
from earshot.audio import decode
from earshot.cli import main
from earshot.cluster import pools
from earshot.datasets import manifest
from earshot.datasets.card import load_card
from earshot.leaks import conditions, duplicates, heard, hints, scan
from earshot.leaks.fingerprint import SAMPLE_RATE
from earshot.settings import window_of
from earshot.splits import spans, windows
from earshot.splits.spans import united
from earshot.stages import audit as audit_stage
from earshot.stages import download as download_stage
from earshot.stages import fingerprint as fingerprint_stage
from earshot.stages import manifest as manifest_stage
from earshot.stages import split as split_stage

RATE = 16000


def narrow(samples: np.ndarray, sample_rate: int = RATE) -> np.ndarray:
    """Return what the fingerprint stage keeps of a recording."""
    return np.rint(soxr.resample(samples, sample_rate, SAMPLE_RATE, quality="HQ").clip(-0.99, 0.99) * 32767).astype(
        np.int16
    )


def hiss(seconds: float, seed: int) -> np.ndarray:
    """Return noise whose level and colour wander, as a street's do."""
    rng = np.random.default_rng(seed)
    level = np.interp(
        np.arange(seconds * RATE),
        np.arange(0, seconds + 1, 0.2)[: int(seconds * 5) + 5] * RATE,
        rng.uniform(0.05, 0.4, int(seconds * 5) + 5),
    )
    return (level * noise(seconds, RATE, seed)[:, 0]).astype(np.float32)


def as_mp3(samples: np.ndarray, level: float = 0.5, shift: float = 0.3) -> np.ndarray:
    """Return a copy of a recording that went through MP3, 6 dB softer and 0.3 s later."""
    late = np.concatenate([noise(shift, RATE, 99)[:, 0] * 0.01, samples]) * level
    file = io.BytesIO()
    soundfile.write(file, late, RATE, format="MP3")
    file.seek(0)
    return soundfile.read(file, dtype="float32")[0]


def test_a_copy_is_found_with_its_place_whatever_was_done_to_it():
    sounds = {f"r{n}": hiss(8, n) for n in range(6)}
    sounds["copy"] = as_mp3(sounds["r3"])
    found = duplicates.find(list(sounds), [narrow(x) for x in sounds.values()])
    assert set(zip(found["recording_a"], found["recording_b"], strict=True)) == {("r3", "copy")}
    assert (found["start_b"] - found["start_a"]).to_numpy() == pytest.approx(0.3, abs=0.1)
    assert found["seconds"].sum() > 6


def test_windows_cut_by_hand_are_found_to_overlap():
    """Clips of 2 s that share 1 s with the next, as tutorials cut them into folders."""
    long = hiss(20, 5)
    clips = {f"clip{n:02}": long[n * RATE : (n + 2) * RATE] for n in range(18)}
    found = duplicates.find(list(clips), [narrow(x) for x in clips.values()])
    pairs = set(zip(found["recording_a"], found["recording_b"], strict=True))
    assert pairs == {(f"clip{n:02}", f"clip{n + 1:02}") for n in range(17)}


@pytest.mark.parametrize("same", [tone(440, 6, RATE), np.zeros(6 * RATE, np.float32), noise(0.05, RATE)[:, 0]])
def test_alike_is_not_the_same(same):
    """A steady tone in two hisses, silence, and less than a frame: nothing to compare."""
    other = tone(440, 6, RATE, seed=1) if same.any() and len(same) > RATE else same
    assert duplicates.find(["a", "b"], [narrow(same), narrow(other)]).empty


def test_nothing_to_search_in():
    assert duplicates.find([], []).empty


def table(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["recording", "group", "start", "stop"])


def windows_of(*rows: tuple) -> pd.DataFrame:
    return table(*rows).assign(seconds=lambda t: t["stop"] - t["start"]).drop(columns="stop")


def twice(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame([(*row, 1.0) for row in rows], columns=duplicates.STRETCH)


def test_a_window_that_shares_samples_is_flagged():
    found = heard.flag(
        windows_of(("a", "g1", 1, 3), ("a", "g1", 5, 7), ("b", "g2", 1, 3)), table(("a", "g1", 2, 5)), twice()
    )
    assert found["overlap"].tolist() == [True, False, False]
    assert found["group"].tolist() == [True, True, False]


def test_a_window_that_sounds_in_training_at_another_place_is_flagged():
    duplicates = twice(("a", 10.0, "b", 30.0, 4.0))
    train = table(("b", "g2", 0, 33), ("c", "g3", 0, 9))
    found = heard.flag(windows_of(("a", "g1", 9, 11), ("a", "g1", 12, 14), ("a", "g1", 14, 16)), train, duplicates)
    assert found["duplicate"].tolist() == [True, True, False], "from 33 s on, b is not trained on"
    turned = heard.flag(windows_of(("b", "g2", 31, 33)), table(("a", "g1", 0, 20)), duplicates)
    assert turned["duplicate"].tolist() == [True]


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), min_size=1, max_size=12), st.integers(0, 60))
def test_covered_seconds_are_those_of_the_union(spans, start):
    seconds = np.zeros(100, bool)
    for first, length in spans:
        seconds[first : first + length] = True
    rows = pd.DataFrame(
        [("a", first, first + length) for first, length in spans], columns=["recording", "start", "stop"]
    )
    found = heard.Covered.by(rows).seconds("a", np.array([start]), np.array([start + 5]))
    assert found == pytest.approx(seconds[start : start + 5].sum())


def test_groups_that_share_sound_become_one():
    spans = table(("a", "g1", 0, 9), ("a", "g2", 9, 20), ("b", "g3", 0, 9), ("c", "g4", 0, 9))
    duplicates = twice(("a", 3.0, "b", 1.0, 2.0), ("b", 5.0, "c", 1.0, 2.0))
    assert united(spans, duplicates)["group"].tolist() == ["g1", "g2", "g1", "g1"]
    assert united(spans, twice())["group"].tolist() == ["g1", "g2", "g3", "g4"]


def test_conditions_tell_bandwidth_and_level():
    wide = noise(4, 22050)[:, 0]
    limited = soxr.resample(soxr.resample(wide, 22050, 8000), 8000, 22050)
    rows = [conditions.describe(x, 22050, 2.0, 1.0) for x in (wide, limited, wide * 0.1)]
    assert [len(row) for row in rows] == [3, 3, 3] and rows[0]["start"].tolist() == [0, 1, 2]
    bandwidth = [row["bandwidth"].mean() for row in rows]
    assert bandwidth[0] > 10_000 and 3500 < bandwidth[1] < 4500
    assert (rows[0]["peak_db"] - rows[2]["peak_db"]).to_numpy() == pytest.approx(20, abs=0.01)
    bands = [name for name in rows[0] if name.startswith("band_")]
    assert np.allclose(rows[0][bands], rows[2][bands], atol=0.1), "a spectrum has no level"


def made_up(groups: int, given_away: bool) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"group": np.repeat(np.arange(groups), 20)})
    colour = rng.normal(size=(groups, 4))[rows["group"]] if given_away else 0
    values = colour + 0.1 * rng.normal(size=(len(rows), 4))
    facts = dict(zip(["band_00", "band_01", "bandwidth", "floor_db"], values.T, strict=True))
    rest = dict.fromkeys(["sample_rate", "offset", "peak_db", "zeros"], 0.0)
    return rows.assign(recording="r", start=np.arange(len(rows)) * 1.0, seconds=2.0, **facts, **rest)


@pytest.mark.parametrize("given_away", [True, False])
def test_the_group_hint(given_away):
    rows = made_up(10, given_away)
    found = hints.group_hint(rows[::2], rows[1::2])
    assert found["chance"] == pytest.approx(0.1)
    assert found["found"] > 0.9 if given_away else found["found"] < 0.3


@pytest.mark.parametrize("given_away", [True, False])
def test_the_label_hint(given_away):
    rng = np.random.default_rng(0)
    label = np.repeat(["a", "b"], 100)
    frame = pd.DataFrame({name: rng.normal(size=200) for name in conditions.CHANNEL}).assign(label=label)
    if given_away:
        frame["bandwidth"] += 10 * (label == "a")
    found = hints.label_hint([(frame[::2], frame[1::2])])
    assert found["chance"] == 0.5
    assert found["balanced_accuracy"] == 1 if given_away else abs(found["balanced_accuracy"] - 0.5) < 0.2


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    """A project with clips in class folders; one artist's track stands again under another's name, re-encoded."""
    project = Project(tmp_path_factory.mktemp("clips"))
    folds = {"folds": {"default": 3}, "random_state": 1}
    project.params(datasets=["clips"], split=project.params()["split"] | folds)
    groups = {"file": "artists.csv"}
    project.card("clips", source={"folder": "."}, layout={"kind": "class_folders", "groups": groups})
    listed = []
    for label in ("high", "low"):
        for artist in range(4):
            for track in range(2):
                name = f"{label}.{artist}{track}.wav"
                write_audio(project.data("raw", "clips", label, name), hiss(6, len(listed)), RATE)
                listed.append((name, f"{label}-artist{artist}"))
    copy = as_mp3(decode.load(project.data("raw", "clips", "low", "low.00.wav"), RATE))
    write_audio(project.data("raw", "clips", "low", "low.99.flac"), copy[: 6 * RATE], RATE)
    listed.append(("low.99.flac", "low-artist9"))
    table = pd.DataFrame(listed, columns=["filename", "group"])
    table.to_csv(project.data("raw", "clips", "artists.csv"), index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EARSHOT_ROOT", str(project.root))
        invoke(manifest_stage.main, "clips")
        invoke(fingerprint_stage.main, "clips")
    return project.root


@pytest.fixture
def folders(clips, project):
    """Return a copy of that project for one test."""
    shutil.copytree(clips, project.root, dirs_exist_ok=True)
    return project


def test_groups_that_share_a_recording_are_split_as_one(folders):
    invoke(split_stage.main, "clips")
    said = invoke(audit_stage.main, "clips")
    assert "grouped: 0.0% of" in said
    found = json.loads(folders.data("audit", "clips.json").read_text())
    assert found["duplicates"]["across_recordings"] >= 1 and not any(found["leaking"].values())


def test_above_the_hours_of_the_setting_the_stage_uses_the_index(folders):
    folder = folders.data("fingerprint", "clips")
    exact, conditions = files.read_table(folder / "duplicates.parquet"), (folder / "conditions.parquet").read_bytes()
    folders.params(duplicates={"exact_hours": 0.0, "nprobe": 16})
    invoke(fingerprint_stage.main, "clips")
    columns = ["recording_a", "recording_b"]
    found = files.read_table(folder / "duplicates.parquet")
    assert found[columns].drop_duplicates().values.tolist() == exact[columns].drop_duplicates().values.tolist()
    assert (folder / "conditions.parquet").read_bytes() == conditions


def test_too_few_groups_that_share_no_sound_are_explained(folders):
    folders.params(split=folders.params()["split"] | {"folds": {"default": 5}})
    shared = invoke(split_stage.main, "clips", code=1)
    assert "high has 4, low has 4 (1 groups share sound with another and count with it; `earshot audit`)" in shared


def test_no_split_at_all_is_refused(folders):
    folders.params(protocols=[])
    assert "error: params.yaml asks for no split" in invoke(split_stage.main, "clips", code=1)


def test_a_grouped_split_that_leaks_stops_the_pipeline(folders):
    folders.params(split=folders.params()["split"] | {"unite_duplicates": False})
    invoke(split_stage.main, "clips")
    said = invoke(audit_stage.main, "clips", code=1)
    assert "the grouped split of clips leaks: training has heard test windows" in said
    assert "low/low.00.wav" in said or "low/low.99.flac" in said
    assert "split.unite_duplicates" in said and "Traceback" not in said
    assert not folders.data("audit", "clips.json").exists()
    assert "leaks: training has heard test windows" in invoke(main.main, "audit", "clips", code=1)


def test_a_hand_made_grouped_split_is_audited_as_it_stands(folders):
    invoke(split_stage.main, "clips")
    path = folders.data("splits", "clips", "grouped.parquet")
    table = files.read_table(path)
    moved = table.index[(table["fold"] == 0) & (table["part"] == "test")][0]
    files.write_table(path, pd.concat([table, table.loc[[moved]].assign(part="train")]), {"protocol": "grouped"})
    assert f"fold 0: {table.loc[moved, 'recording']}" in invoke(audit_stage.main, "clips", code=1)


@pytest.fixture
def standin(project, mirror):
    for path in (PROJECT / "tests" / "cards").glob("sirens_standin.*"):
        shutil.copy(path, project.root / "conf" / "cards")
    project.params(datasets=["sirens_standin"])
    invoke(download_stage.main, "sirens_standin")
    invoke(manifest_stage.main, "sirens_standin")
    return project


def sources(project, card) -> pd.DataFrame:
    from earshot.splits.spans import grouped_spans

    frame = files.read_table(project.data("manifest", "sirens_standin.parquet"))
    return grouped_spans(card, frame, project.params(), project.data("raw", "sirens_standin"))


@pytest.mark.long
@pytest.mark.real
def test_the_audit_finds_the_leaks_of_real_recordings_without_the_segments(standin):
    card = load_card("sirens_standin")
    known = sources(standin, card)
    path = standin.root / "conf" / "cards" / "sirens_standin.yaml"
    path.write_text(path.read_text().partition("  segments:")[0])  # from here on, nobody is told the sources
    invoke(fingerprint_stage.main, "sirens_standin")
    standin.params(protocols=["published"])
    invoke(split_stage.main, "sirens_standin")
    table = files.read_table(standin.data("splits", "sirens_standin", "published.parquet"))
    duplicates = files.read_table(standin.data("fingerprint", "sirens_standin", "duplicates.parquet"))
    test, train = (sourced(table[table["part"] == part], known) for part in ("test", "train"))
    leaking = test["source"].isin(set(train["source"])).to_numpy()
    found = heard.flag(test.assign(seconds=2.0), train, duplicates)
    flagged = (found["overlap"] | found["duplicate"]).to_numpy()
    assert leaking.mean() > 0.95 and flagged[leaking].mean() >= 0.95

    whole = united(known, duplicates)
    sides = np.where(whole["group"].isin(sorted(set(whole["group"]))[::2]), "test", "train")
    test, train = (whole[sides == side].reset_index(drop=True) for side in ("test", "train"))
    cut = spans.windows_of(test, {"length": 2.0, "hop": 1.0})
    found = heard.flag(cut, train, duplicates)
    assert len(cut) > 500 and not found.to_numpy().any(), "nothing is flagged where sources stay whole"


def sourced(spans: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    from earshot.splits.spans import grouped_by

    return spans.reset_index(drop=True).assign(source=grouped_by(spans, known)["group"].to_numpy())


@pytest.mark.real
def test_a_planted_copy_of_a_real_recording_is_found(project, mirror):
    for kind in ("blues", "rock"):
        for n in range(5):
            source = mirror / "gtzan_mini" / "genres" / kind / f"{kind}.0000{n}.wav"
            samples = decode.load(source, 22050)[: 12 * 22050]
            write_audio(project.data("raw", "songs", kind, f"{n}.wav"), samples, 22050)
    copy = as_mp3(soxr.resample(decode.load(project.data("raw", "songs", "rock", "2.wav"), 22050), 22050, RATE))
    write_audio(project.data("raw", "songs", "rock", "planted.mp3"), copy, RATE, format="MP3")
    project.params(datasets=["songs"])
    project.card("songs", source={"folder": "."}, layout={"kind": "class_folders"})
    invoke(manifest_stage.main, "songs")
    invoke(fingerprint_stage.main, "songs")
    found = files.read_table(project.data("fingerprint", "songs", "duplicates.parquet"))
    across = found[found["recording_a"] != found["recording_b"]]
    assert set(across["recording_a"]) == {"rock/2.wav"} and set(across["recording_b"]) == {"rock/planted.mp3"}
    assert across["seconds"].sum() > 10
    window = window_of(project.params()["windows"], "songs")
    copies = windows_of(*[("rock/planted.mp3", "x", s, s + 2) for s in windows.starts(0.3, 12, **window)])
    assert heard.flag(copies, table(("rock/2.wav", "y", 0, 12)), found)["duplicate"].all()


@pytest.mark.process
def test_many_short_recordings_are_described_by_several_processes_and_long_ones_one_by_one(project, monkeypatch):
    monkeypatch.setattr(pools, "FEW", 3)
    project.card("birds", source={"folder": "."}, layout={"kind": "class_folders"})
    for number in range(6):
        label = ("owl", "wren")[number % 2]
        write_audio(project.data("raw", "birds", label, f"{number}.wav"), hiss(3, number), RATE)
    invoke(manifest_stage.main, "birds")
    written = []
    for workers in ("1", "2"):
        invoke(fingerprint_stage.main, "birds", "--workers", workers)
        written.append([path.read_bytes() for path in sorted(project.data("fingerprint", "birds").iterdir())])
    assert len(written[0]) == 2 and written[0] == written[1]
    recordings = manifest.read("birds")
    assert isinstance(scan._pool(recordings, workers=1), ThreadPoolExecutor)
    assert isinstance(scan._pool(recordings, workers=2), pools.Lasting)
    hours = recordings.assign(seconds=7200.0)
    assert isinstance(scan._pool(hours, workers=2), ThreadPoolExecutor), "memory grows with a recording"
