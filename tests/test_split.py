"""Splits: as published where that is asked for, and without a leak where that is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from conftest import PROJECT
from earshot.datasets.card import Card
from earshot.errors import EarshotError
from earshot.leaks.duplicates import STRETCH
from earshot.splits import protocols, windows
from earshot.splits.left_out import described, left_out

PARAMS = yaml.safe_load((PROJECT / "params.yaml").read_text())
NONE = pd.DataFrame(columns=STRETCH)
FACTS = {"title": "t", "licence": "l", "citation": "c", "source": {"folder": "."}}


def sirens(segments: bool = False) -> Card:
    layout = {"kind": "long_recordings", "recordings": {"emergency": "a.wav", "traffic": "b.wav"}}
    if segments:
        layout["segments"] = {"emergency": "a.csv", "traffic": "b.csv"}
    return Card(name="x", task="sirens", layout=layout, **FACTS)


def genres(**groups) -> Card:
    layout = {"kind": "class_folders", "groups": {"file": "groups.csv", **groups}}
    return Card(name="x", task="genres", layout=layout, **FACTS)


def manifest_of_two(seconds: tuple[float, float] = (1375.2182, 1629.6511)) -> pd.DataFrame:
    """Two long recordings; by default as long as the siren tutorial's."""
    names = ["a.wav", "b.wav"]
    facts = {"recording": names, "group": names, "label": ["emergency", "traffic"], "seconds": seconds}
    return pd.DataFrame({**facts, "sample_rate": [22050, 16000], "fold": None, "status": "read"})


def manifest_of_tracks(artists: int = 4, tracks: int = 3, classes: int = 3) -> pd.DataFrame:
    rows = [
        {
            "recording": f"{c}/{a}{t}.wav",
            "group": f"{c}{a}",
            "label": f"class{c}",
            "seconds": 30.0,
            "fold": None,
        }
        for c in range(classes)
        for a in range(artists)
        for t in range(tracks)
    ]
    return pd.DataFrame(rows).assign(status="read")


def assert_no_leak(table: pd.DataFrame, gap: float = 0.0) -> None:
    """No group on two sides of a fold, and no two spans of one recording on two sides nearer than `gap`."""
    for _, rows in table.groupby("fold"):
        assert (rows.groupby("group")["part"].nunique() == 1).all()
        for _, spans in rows.sort_values("start").groupby("recording"):
            following = spans.shift(-1)
            other_side = (spans["part"] != following["part"]) & following["part"].notna()
            assert (following["start"] - spans["stop"])[other_side].min() >= gap - 1e-9 or not other_side.any()


def test_published_is_the_tutorials_split():
    table = protocols.make("published", sirens(), manifest_of_two(), NONE, PARAMS, None)
    sizes = table["part"].value_counts()
    assert (sizes["train"], sizes["validation"], sizes["test"]) == (2401, 601, 601)
    labels = np.repeat([0, 1], [1374, 1628])
    _, test = train_test_split(np.arange(3002), stratify=labels, test_size=0.2, random_state=12)
    starts = np.concatenate([np.arange(1374), np.arange(1628)])
    theirs = sorted(zip(labels[test], starts[test], strict=True))
    rows = table[table["part"] == "test"]
    assert sorted(zip((rows["label"] == "traffic").astype(int), rows["start"], strict=True)) == theirs


def test_published_chooses_the_checkpoint_by_the_test_part():
    table = protocols.make("published", genres(), manifest_of_tracks(), NONE, PARAMS, None)
    by_part = {part: set(rows["recording"]) for part, rows in table.groupby("part")}
    assert by_part["validation"] == by_part["test"]
    assert not by_part["train"] & by_part["test"]


def test_published_windows_know_the_group_they_split_through(tmp_path):
    write_segments(tmp_path, "a", 400, 22050)
    write_segments(tmp_path, "b", 400, 16000)
    table = protocols.make("published", sirens(segments=True), manifest_of_two((400, 400)), NONE, PARAMS, tmp_path)
    assert len(table[table["part"] != "validation"]) == 2 * 399
    middles = (table["start"] + table["stop"]) / 2
    assert (table["group"].str.split("-").str[1].astype(int) == (middles / 8.6).astype(int)).all()
    blocks = protocols.make("published", sirens(), manifest_of_two((400, 400)), NONE, PARAMS, None)
    assert (
        blocks["group"] == blocks["recording"] + "#00" + (blocks["start"] + 1).floordiv(60).astype(int).astype(str)
    ).all()


def test_published_tests_tracks_without_a_group_too():
    manifest = manifest_of_tracks()
    manifest.loc[0, "group"] = None
    table = protocols.make("published", genres(), manifest, NONE, PARAMS, None)
    assert set(table["recording"]) == set(manifest["recording"]) and table["group"].notna().all()


@settings(max_examples=25)
@given(
    lengths=st.tuples(st.floats(650, 2000), st.floats(650, 2000)),
    block=st.sampled_from([30.0, 45.5, 60.0]),
    guard=st.sampled_from([2.0, 3.0]),
)
def test_blocks_of_long_recordings_keep_a_guard_gap(lengths, block, guard):
    params = PARAMS | {"split": PARAMS["split"] | {"block_seconds": block, "guard_seconds": guard}}
    table = protocols.make("grouped", sirens(), manifest_of_two(lengths), NONE, params, None)
    assert table["fold"].nunique() == 5
    assert_no_leak(table, gap=guard)
    tested = table[table["part"] == "test"]
    assert not tested.duplicated(["recording", "start"]).any()


def test_a_guard_shorter_than_a_window_is_refused():
    params = PARAMS | {"split": PARAMS["split"] | {"guard_seconds": 1.0}}
    with pytest.raises(EarshotError, match="split.guard_seconds"):
        protocols.make("grouped", sirens(), manifest_of_two(), NONE, params, None)


def write_segments(folder, name: str, seconds: float, sample_rate: int, every: float = 4.3) -> None:
    edges = np.append(np.arange(0, seconds, every), seconds)
    samples = np.rint(edges * sample_rate).astype(int)
    # two neighbouring segments share a source, which must stay whole
    frame = pd.DataFrame({"start_sample": samples[:-1], "end_sample": samples[1:]})
    frame["source"] = [f"{name}-{number // 2}" for number in range(len(frame))]
    frame.to_csv(folder / f"{name}.csv", index=False)


def test_sources_of_long_recordings_stay_whole(tmp_path):
    write_segments(tmp_path, "a", 400, 22050)
    write_segments(tmp_path, "b", 400, 16000)
    table = protocols.make("grouped", sirens(segments=True), manifest_of_two((400, 400)), NONE, PARAMS, tmp_path)
    assert_no_leak(table)
    tested = table[table["part"] == "test"]
    assert tested["group"].is_unique and len(tested) >= 90
    for span in tested.itertuples():
        assert len(windows.starts(span.start, span.stop, 2.0, 1.0)) > 0
        number = int(span.group.split("-")[1])
        assert span.start == pytest.approx(number * 8.6, abs=1e-4)


def test_every_track_is_tested_once_on_unheard_artists():
    manifest = manifest_of_tracks()
    table = protocols.make("grouped", genres(), manifest, NONE, PARAMS, None)
    assert_no_leak(table)
    assert sorted(table.loc[table["part"] == "test", "recording"]) == sorted(manifest["recording"])
    protocols.check_parts(table, ["class0", "class1", "class2"], [], "x")


def test_a_published_fold_is_used():
    manifest = manifest_of_tracks(artists=6)
    manifest["fold"] = (manifest["group"].str[-1].astype(int) % 3 + 1).astype(str)
    table = protocols.make("grouped", genres(fold="fold"), manifest, NONE, PARAMS, None)
    tested = table[table["part"] == "test"].merge(manifest[["recording", "fold"]], on="recording")
    assert (tested["fold_x"] + 1 == tested["fold_y"].astype(int)).all()


def test_tracks_without_a_group_are_left_out_of_the_grouped_protocol():
    manifest = manifest_of_tracks()
    manifest.loc[0, "group"] = None
    table = protocols.make("grouped", genres(), manifest, NONE, PARAMS, None)
    assert manifest.loc[0, "recording"] not in set(table["recording"])


@settings(max_examples=25)
@given(
    groups=st.lists(st.sampled_from(["NA", "None", "a", "b", "c", "d", "", None]), min_size=36, max_size=36),
    protocol=st.sampled_from(protocols.PROTOCOLS),
)
def test_every_recording_is_in_each_split_or_counted_with_a_reason(groups, protocol):
    card, manifest = genres(), manifest_of_tracks()
    manifest["group"] = [group and f"{group}{label}" for group, label in zip(groups, manifest["label"], strict=True)]
    try:
        table = protocols.make(protocol, card, manifest, NONE, PARAMS, None)
    except EarshotError:
        return
    counted = left_out(card, manifest, table)
    assert table["recording"].nunique() + sum(counted.values()) == len(manifest)
    lacking = manifest["group"].isna().sum() if protocol == "grouped" else 0
    assert counted == ({"no group in groups.csv": lacking} if lacking else {})


def test_what_a_split_lacks_is_put_into_words():
    assert described("grouped", {"no group in who.csv": 2}) == (
        "recordings not in the grouped split: 2 (no group in who.csv)"
    )
    assert described("grouped", {"no group in who.csv": 2, "too short": 1}) == (
        "recordings not in the grouped split: 3 (no group in who.csv: 2, too short: 1)"
    )
    assert described("grouped", {}) == ""


def test_too_few_groups_are_named_with_what_is_possible():
    manifest = manifest_of_tracks(artists=4)
    manifest.loc[manifest["label"] == "class1", "group"] = "one artist"
    with pytest.raises(EarshotError, match="class1 has 1.*no number of folds is possible"):
        protocols.make("grouped", genres(), manifest, NONE, PARAMS, None)
    params = PARAMS | {"split": PARAMS["split"] | {"folds": {"default": 9}}}
    with pytest.raises(EarshotError, match="need 9 groups.*split.folds of 4 or less"):
        protocols.make("grouped", genres(), manifest_of_tracks(artists=4), NONE, params, None)


def test_a_class_that_is_train_only_is_never_tested():
    manifest = manifest_of_tracks()
    manifest.loc[manifest["label"] == "class1", "group"] = "one artist"
    table = protocols.make("grouped", genres(train_only=["class1"]), manifest, NONE, PARAMS, None)
    assert_no_leak(table)
    assert set(table.loc[table["label"] == "class1", "part"]) == {"train"}
    assert (table[table["label"] == "class1"].groupby("fold").size() == 12).all()
    protocols.check_parts(table, ["class0", "class1", "class2"], ["class1"], "x")


def test_a_part_without_a_class_is_named():
    table = protocols.make("grouped", genres(), manifest_of_tracks(), NONE, PARAMS, None)
    lacking = table[~((table["fold"] == 1) & (table["part"] == "test") & (table["label"] == "class2"))]
    with pytest.raises(EarshotError, match="the test part of fold 1 has no class2"):
        protocols.check_parts(lacking, ["class0", "class1", "class2"], [], "x")


def test_an_unknown_protocol_is_named():
    with pytest.raises(EarshotError, match="'shuffled' is none of published, grouped"):
        protocols.make("shuffled", genres(), manifest_of_tracks(), NONE, PARAMS, None)


@pytest.mark.parametrize(("seconds", "count"), [(1375.2182, 1374), (1629.6511, 1628), (2.0, 1), (1.99, 0)])
def test_the_number_of_windows(seconds, count):
    assert len(windows.starts(0.0, seconds, 2.0, 1.0)) == count


@given(
    start=st.floats(0, 100),
    length=st.sampled_from([0.3, 2.0, 3.0]),
    hop=st.sampled_from([0.1, 0.5, 1.0, 3.0]),
)
def test_windows_stay_inside_and_on_the_grid(start, length, hop):
    found = windows.starts(start, start + 20, length, hop)
    assert (found >= start - windows.GRID).all() and (found + length <= start + 20 + windows.GRID).all()
    assert np.allclose(found / hop, np.rint(found / hop))
    assert len(found) >= (20 - length) / hop - 1


@pytest.mark.parametrize("tracks", [1, 2, 3, 5])
@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.99])
@pytest.mark.parametrize("classes", [2, 3])
def test_too_few_recordings_for_the_published_split_are_told_with_what_is_possible(tracks, share, classes):
    manifest = manifest_of_tracks(artists=1, tracks=tracks, classes=classes)
    params = PARAMS | {"split": PARAMS["split"] | {"test_share": share}}
    try:
        table = protocols.make("published", genres(), manifest, NONE, params, None)
        assert table.groupby("part")["label"].nunique().eq(classes).all()
    except EarshotError as error:
        told = str(error)
        if tracks == 1:
            assert "needs 2 recordings or windows in every class, but class0 has 1" in told
        else:
            low, high = (float(number) for number in told.split("A share from ")[1].split(" is")[0].split(" to "))
            for possible in (low, high):
                params["split"]["test_share"] = possible
                protocols.make("published", genres(), manifest, NONE, params, None)


def test_too_few_groups_are_told_with_how_there_would_be_more():
    manifest = manifest_of_tracks(artists=2, tracks=1)
    alone = Card(name="x", task="genres", layout={"kind": "class_folders"}, **FACTS)
    with pytest.raises(EarshotError, match=r"class0 has 2.*: add recordings \(without a table"):
        protocols.make("grouped", alone, manifest, NONE, PARAMS, None)
    with pytest.raises(EarshotError, match=r"complete groups.csv, or list the class in layout.groups.train_only"):
        protocols.make("grouped", genres(), manifest, NONE, PARAMS, None)
    with pytest.raises(EarshotError, match=r"a has 1.*set split.block_seconds \(60\) to 20 or less"):
        long = manifest_of_two((60, 60)).assign(label=["a", "b"])
        protocols.make("grouped", sirens(), long, NONE, PARAMS, None)
    manifest = manifest_of_tracks()
    manifest.loc[manifest["label"] == "class1", "group"] = None
    with pytest.raises(EarshotError, match=r"class1 has 0"):
        protocols.make("grouped", genres(), manifest, NONE, PARAMS, None)


def test_a_task_that_has_neither_folds_nor_a_default_is_told():
    params = PARAMS | {"split": PARAMS["split"] | {"folds": {"birds": 5}}}
    with pytest.raises(EarshotError, match=r"split.folds in params.yaml has birds: add a line for the task genres"):
        protocols.make("grouped", genres(), manifest_of_tracks(), NONE, params, None)
