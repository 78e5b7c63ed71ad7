"""The first stages on real recordings, where they are at hand."""

from __future__ import annotations

import json
import shutil

import librosa
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from conftest import PROJECT
from earshot import files
from earshot.audio import decode
from earshot.batches import windows
from earshot.leaks.duplicates import STRETCH
from earshot.stages import download as download_stage
from earshot.stages import fingerprint as fingerprint_stage
from earshot.stages import manifest as manifest_stage
from earshot.stages import split as split_stage
from reference import columns
from test_inputs import build

pytestmark = pytest.mark.real


def invoke(command, *arguments):
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def mirrored(project, mirror):
    """A project with the cards of the datasets that only a mirror has."""
    for path in (PROJECT / "tests" / "cards").iterdir():
        shutil.copy(path, project.root / "conf" / "cards")
    return project


@pytest.fixture
def standin(mirrored):
    project = mirrored
    invoke(download_stage.main, "sirens_standin")
    invoke(manifest_stage.main, "sirens_standin")
    invoke(fingerprint_stage.main, "sirens_standin")
    return project


def test_the_stand_in_gives_the_tutorials_windows(standin):
    shown = invoke(manifest_stage.main, "sirens_standin")
    assert "emergency 22050 Hz, non_emergency 16000 Hz" in shown, "what gives the classes away is told"
    invoke(split_stage.main, "sirens_standin")
    table = files.read_table(standin.data("splits", "sirens_standin", "published.parquet"))
    windows = table[table["part"].isin(["train", "test"])]["label"].value_counts()
    assert (windows["emergency"], windows["non_emergency"]) == (1374, 1628)


def test_no_source_of_the_stand_in_stands_on_two_sides(standin):
    invoke(split_stage.main, "sirens_standin")
    table = files.read_table(standin.data("splits", "sirens_standin", "grouped.parquet"))
    window = {"length": 2.0, "hop": 1.0}
    for _, rows in table.groupby("fold"):
        sides: dict[str, set[str]] = {}
        for part, spans in rows.groupby("part"):
            cut = windows.windows_in(
                spans.drop(columns=["fold", "part"]).reset_index(drop=True), build("waveform"), window
            )
            for source in sources_heard(cut, standin.data("raw", "sirens_standin")):
                sides.setdefault(source, set()).add(part)
        assert sides and all(len(parts) == 1 for parts in sides.values())


def sources_heard(cut: pd.DataFrame, raw) -> set[str]:
    """Return every source that any window overlaps by at least a sample, by the segments' own table."""
    found = set()
    for (label, recording), rows in cut.groupby(["label", "recording"]):
        rate = {"emergency": 22050, "non_emergency": 16000}[label]
        table = pd.read_csv(raw / recording.replace(".flac", ".segments.csv"))
        for start in rows["start"]:
            heard = (table["start_sample"] < (start + 2) * rate - 1) & (table["end_sample"] > start * rate + 1)
            found |= {f"{label} {source}" for source in table.loc[heard, "source"]}
    return found


@pytest.mark.process
def test_gtzan_mini_is_read_whole_and_split_by_artist(project, mirror):
    invoke(download_stage.main, "gtzan_mini")
    assert "101 files read, set aside: none" in invoke(manifest_stage.main, "gtzan_mini")
    assert json.loads(project.data("manifest", "gtzan_mini.json").read_text())["classes"]["jazz"] == 11
    invoke(fingerprint_stage.main, "gtzan_mini")
    invoke(split_stage.main, "gtzan_mini")
    table = files.read_table(project.data("splits", "gtzan_mini", "grouped.parquet"))
    artists = pd.read_csv(mirror / "gtzan_artists" / "artist_groups.csv").set_index("filename")["artist_group"]
    for _, rows in table.groupby("fold"):
        artist = rows["recording"].map(lambda name: artists[name.split("/")[1]])
        assert (rows.groupby(artist)["part"].nunique() == 1).all()


def test_the_summary_of_real_tracks_is_librosas(mirror):
    paths = sorted((mirror / "gtzan_mini" / "genres").glob("*/*.00003.wav"))
    summary = build("summary", "genres", clips=True)
    ours = np.concatenate([summary.extract(decode.load(path, 22050)) for path in paths])
    theirs = np.array([columns(*librosa.load(path, duration=30)) for path in paths])
    assert len(paths) == 10 and (np.abs(ours - theirs) < 1e-4 * theirs.std(axis=0)).all()


@pytest.mark.process
def test_esc10_is_a_table_whose_published_folds_share_sound(mirrored):
    invoke(download_stage.main, "esc10")
    assert "150 files read, set aside: none" in invoke(manifest_stage.main, "esc10")
    rows = files.read_table(mirrored.data("manifest", "esc10.parquet"))
    assert rows["label"].nunique() == 10 and sorted(rows["fold"].unique()) == list("12345")
    assert (rows.groupby("group")["fold"].nunique() == 1).all(), "by its sources the folds are leak-free"
    invoke(fingerprint_stage.main, "esc10")
    assert "published folds: not used; groups 118104, 142601, 142605 share sound and are in folds 2 and 3" in invoke(
        split_stage.main, "esc10"
    )


def test_sirens_elsewhere_is_for_testing_alone(mirrored):
    invoke(download_stage.main, "sirens_elsewhere")
    assert "401 files read, set aside: none" in invoke(manifest_stage.main, "sirens_elsewhere")
    assert "for testing alone" in invoke(split_stage.main, "sirens_elsewhere")


def test_a_union_of_the_stand_in_and_esc10_keeps_their_sources_apart(mirrored):
    invoke(download_stage.main, "sirens_union")
    assert "152 files read, set aside: none" in invoke(manifest_stage.main, "sirens_union")
    nothing = pd.DataFrame(columns=STRETCH)  # the fingerprints of all of it take minutes
    files.write_table(mirrored.data("fingerprint", "sirens_union", "duplicates.parquet"), nothing, {})
    invoke(split_stage.main, "sirens_union")
    table = files.read_table(mirrored.data("splits", "sirens_union", "grouped.parquet"))
    assert (table.groupby(["fold", "group"])["part"].nunique() == 1).all()
    tested = table[table["part"] == "test"]
    member = tested["recording"].str.partition("/")[0]
    assert set(tested.loc[member == "esc10", "label"]) == {"non_emergency"} and (member == "esc10").sum() == 150
    assert (tested["group"].str.partition("/")[0] == member).all() and tested["fold"].nunique() == 5
