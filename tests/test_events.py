"""Recordings with events: which stretches have a class, which windows there are, and a whole small pipeline."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import PROJECT, Project, invoke, new_store, noise, tone, write_audio
from earshot import files
from earshot.cli import main
from earshot.datasets import class_map, manifest
from earshot.datasets.annotations.annotation import Annotation
from earshot.datasets.card import load_card
from earshot.datasets.stretches import stretches
from earshot.errors import EarshotError
from earshot.metrics import labels
from earshot.report import words
from earshot.settings import read_params
from earshot.splits import events, protocols, windows
from earshot.splits.spans import labelled
from earshot.stages import audit as audit_stage
from earshot.stages import compare as compare_stage
from earshot.stages import download as download_stage
from earshot.stages import fingerprint as fingerprint_stage
from earshot.stages import manifest as manifest_stage
from earshot.stages import split as split_stage
from tiny import RATE, log_mel_cnn, through_the_stages

WINDOW = {"length": 2.0, "hop": 1.0}


def annotations(*events: tuple[float, float, str]) -> list[Annotation]:
    return [Annotation(*event) for event in events]


def divided(*events: tuple[float, float, str], seconds: float = 10.0, background: str | None = "quiet") -> list[tuple]:
    return [tuple(one.values()) for one in stretches(annotations(*events), seconds, background)]


def test_what_no_event_covers_is_background_or_nothing():
    events = [(2.0, 4.0, "siren"), (7.0, 10.0, "horn")]
    assert divided(*events) == [
        ("quiet", 0, 2, "background"),
        ("siren", 2, 4, "event"),
        ("quiet", 4, 7, "background"),
        ("horn", 7, 10, "event"),
    ]
    assert divided(*events, background=None) == [("siren", 2, 4, "event"), ("horn", 7, 10, "event")]
    assert divided() == [("quiet", 0, 10, "background")] and divided(background=None) == []


def test_where_two_classes_overlap_neither_is_used():
    assert divided((1, 6, "siren"), (4, 8, "horn"), background=None) == [
        ("siren", 1, 4, "event"),
        ("horn + siren", 4, 6, "overlap"),
        ("horn", 6, 8, "event"),
    ]


def test_where_the_card_says_so_classes_that_overlap_are_a_set():
    rows = annotations((1, 6, "siren"), (4, 8, "horn"), (5, 5, "click"), (7, 9, "wind"))
    class_of = {name: name for name in ("siren", "horn", "click", "quiet")}
    found = [tuple(one.values()) for one in stretches(rows, 10.0, "quiet", class_of, together=True)]
    assert found == [
        ('["quiet"]', 0, 1, "background"),
        ('["siren"]', 1, 4, "event"),
        ('["horn", "siren"]', 4, 5, "event"),
        ('["click"]', 5, 5, "event"),
        ('["horn", "siren"]', 5, 6, "event"),
        ('["horn"]', 6, 8, "event"),
        ("wind", 8, 9, "not mapped"),
        ('["quiet"]', 9, 10, "background"),
    ]


def test_events_of_one_class_that_touch_or_overlap_are_one():
    assert divided((1, 4, "siren"), (3, 6, "siren"), (6, 7, "siren"), background=None) == [("siren", 1, 7, "event")]


def test_what_lies_beyond_the_end_is_left_out():
    assert divided((8, 12, "siren"), (11, 13, "horn"), (9, 10.01, "siren"), background=None) == [
        ("siren", 8, 10, "event"),
        ("siren", 10, 12, "beyond the end"),
        ("horn", 11, 13, "beyond the end"),
    ]


def test_a_point_in_time_divides_what_is_not_its_class():
    assert divided((4, 4, "click"), (6, 9, "click"), (7, 7, "click")) == [
        ("quiet", 0, 4, "background"),
        ("click", 4, 4, "event"),
        ("quiet", 4, 6, "background"),
        ("click", 6, 9, "event"),
        ("quiet", 9, 10, "background"),
    ]


drawn = st.lists(
    st.tuples(st.integers(0, 240), st.integers(0, 60), st.sampled_from(["siren", "horn", "bell"])), max_size=8
)


def recording(found: list[dict], seconds: float, name: str = "a.wav", **facts) -> dict:
    return {"recording": name, "group": name, "fold": None, "seconds": seconds, "stretches": found, **facts}


@settings(max_examples=200)
@given(drawn, st.sampled_from(["quiet", None]), st.sampled_from([1.0, 0.5, 0.3, 2.0]))
def test_no_window_of_a_class_holds_sound_of_another(rows, background, hop):
    """And no event is lost without a word: each has a window, or is counted."""
    events_of = annotations(*((start / 10, (start + length) / 10, label) for start, length, label in rows))
    seconds = 25.0
    window = {"length": 2.0, "hop": hop}
    recordings = pd.DataFrame([recording(stretches(events_of, seconds, background), seconds)])
    spans, unused = events.spans_of(recordings, window)
    used = manifest.stretches(recordings)
    used = used[used["kind"] == "event"]
    heard = dict.fromkeys(used["label"], 0)
    for span in spans.itertuples():
        for start in windows.starts(span.start, span.stop, **window):
            stop = start + 2.0
            assert start >= 0 and stop <= seconds + 1e-6
            touched = {e.label for e in events_of if e.start < stop - 1e-5 and min(e.end, seconds) > start + 1e-5}
            assert touched <= ({span.label} if span.label != background else set()), (start, span)
            if span.label != background:
                mine = [e for e in events_of if e.label == span.label]
                assert any(e.start <= stop and e.end >= start - 1e-6 for e in mine), "a window holds some of its event"
                heard[span.label] += 1
    for label, number in heard.items():
        assert number or label in set(unused["label"])
    twice = [
        (span.label, round(start, 6))
        for span in spans.itertuples()
        for start in windows.starts(span.start, span.stop, **window)
    ]
    assert len(twice) == len(set(twice))


@settings(max_examples=200)
@given(drawn, st.sampled_from(["quiet", None]), st.sampled_from([1.0, 0.5, 0.3, 2.0]))
def test_the_label_of_a_window_is_the_set_of_all_that_is_heard_in_it(rows, background, hop):
    events_of = annotations(*((start / 10, (start + length) / 10, label) for start, length, label in rows))
    window = {"length": 2.0, "hop": hop}
    recordings = pd.DataFrame([recording(stretches(events_of, 25.0, background, together=True), 25.0)])
    spans, unused = events.spans_of(recordings, window)
    assert (unused[["start", "stop"]].mean(axis=1) > 25 - hop).all(), "no window of the grid is there"
    found = set(labels.classes_of(unused["label"]))
    for span in spans.itertuples():
        for start in windows.starts(span.start, span.stop, **window):
            inside = {e.label for e in events_of if e.start < start + 2 - 1e-5 and min(e.end, 25.0) > start + 1e-5}
            named = set(labels.names_of(span.label))
            at_an_edge = {
                e.label for e in events_of if start - 1e-5 <= e.start <= start + 2 + 1e-5 and e.end == e.start
            }
            assert inside <= named <= inside | at_an_edge or (named == {background} and not inside)
            found |= named
    assert found >= {e.label for e in events_of if e.start <= 25}


def spans_of(*rows: tuple[float, float, str], seconds: float = 10.0, background: str | None = "quiet"):
    recordings = pd.DataFrame([recording(stretches(annotations(*rows), seconds, background), seconds)])
    spans, unused = events.spans_of(recordings, WINDOW)
    return list(spans[["label", "start", "stop"]].itertuples(index=False, name=None)), unused["label"].tolist()


def test_a_short_event_gets_the_window_around_it_and_the_background_ends_there():
    spans, unused = spans_of((4.4, 4.8, "siren"))
    assert spans == [("quiet", 0, 4), ("siren", 4, 6), ("quiet", 6, 10)] and not unused
    assert spans_of((0.0, 0.2, "siren"))[0][0] == ("siren", 0, 2), "at the beginning it can't be centred"
    assert spans_of((9.9, 9.9, "siren"))[0][-1] == ("siren", 8, 10)


def test_a_window_around_a_short_event_gives_way_to_another_class():
    spans, unused = spans_of((4.4, 4.8, "siren"), (5.5, 8.9, "horn"), background=None)
    assert spans == [("siren", 3, 5), ("horn", 5.5, 8.9)] and not unused
    spans, unused = spans_of((2, 4.4, "horn"), (4.4, 4.8, "siren"), (4.8, 9, "horn"), background=None)
    assert spans == [("horn", 2, 4.4), ("horn", 4.8, 9)] and unused == ["siren"]


def test_labels_are_mapped_to_classes_before_they_are_compared():
    rows = annotations((1, 4, "wail"), (3, 6, "yelp"), (7, 9, "wind"))
    found = stretches(rows, 10.0, "quiet", {"wail": "siren", "yelp": "siren", "quiet": "other"})
    assert [tuple(one.values()) for one in found] == [
        ("other", 0, 1, "background"),
        ("siren", 1, 6, "event"),
        ("other", 6, 7, "background"),
        ("wind", 7, 9, "not mapped"),
        ("other", 9, 10, "background"),
    ]


def test_a_dataset_may_have_recordings_of_one_class_beside_those_with_events():
    rows = [
        recording(stretches(annotations((2, 5, "siren")), 10.0, "quiet"), 10.0, "events.wav", label=None),
        recording(None, 3.0, "whole.wav", label="horn"),
    ]
    del rows[1]["stretches"]
    recordings = pd.DataFrame(rows)
    assert manifest.classes_of(recordings) == ["horn", "quiet", "siren"]
    spans, _ = events.spans_of(recordings, WINDOW)
    assert spans[["recording", "label", "start", "stop"]].values.tolist() == [
        ["events.wav", "quiet", 0, 2],
        ["events.wav", "siren", 2, 5],
        ["events.wav", "quiet", 5, 10],
        ["whole.wav", "horn", 0, 3],
    ]


# --- the card and the label files


def write_project(project, texts: dict[str, str], **layout) -> None:
    """Write four recordings of 10 s, `day/a.wav` and so on, with label files beside them or a table."""
    raw = project.data("raw", "street")
    for number, name in enumerate(["day/a", "day/b", "night/a", "night/c"]):
        write_audio(raw / f"{name}.wav", noise(10, 4000, seed=number), 4000)
    for name, text in texts.items():
        (raw / name).write_text(text)
    facts = {"kind": "events", "format": "audacity", "labels": "{stem}.txt", **layout}
    project.card("street", source={"folder": "."}, layout=facts)
    project.params(manifest={"max_set_aside": 0.9, "silence_dbfs": -80.0})


def manifest_of(project) -> pd.DataFrame:
    invoke(manifest_stage.main, "street")
    return files.read_table(project.data("manifest", "street.parquet")).set_index("recording")


TRACKS = {
    "day/a.txt": "1\t4\tsiren\n6\t8\thorn\n",
    "day/b.txt": "0\t10\tsiren\n",
    "night/a.txt": "2\t5\thorn\n\\\t100\t900\n",
    "README.txt": "About these recordings\n",
}


def test_label_tracks_beside_the_recordings(project):
    write_project(project, TRACKS)
    table = manifest_of(project)
    assert list(table.index) == ["day/a.wav", "day/b.wav", "night/a.wav", "night/c.wav"], "a README is no label file"
    assert table["label"].fillna("").tolist() == ["", "siren", "horn", ""]
    assert table.loc["night/c.wav", "reason"] == "no labels"
    counts = files.read_json(project.data("manifest", "street.json"))
    assert counts["classes"] == {"horn": 2, "siren": 2} and counts["set_aside"] == {"no labels": 1}
    assert counts["stretches"]["siren"] == {"stretches": 2, "seconds": 13.0} and counts["not_used"] == {}


def test_a_recording_without_labels_is_background_if_the_card_says_so(project):
    write_project(project, TRACKS, background="quiet", unlabelled="background")
    table = manifest_of(project)
    assert table.loc["night/c.wav", "label"] == "quiet" and table["status"].eq("read").all()
    assert manifest.classes_of(manifest.read("street")) == ["horn", "quiet", "siren"]


def test_a_recording_that_a_table_lists_without_events_is_background(project):
    text = "filename\tonset\toffset\tevent_label\nday/a.wav\t1\t4\tsiren\nb\t2\t4\thorn\nc.wav\t\t\t\n"
    write_project(project, {"all.tsv": text}, format="dcase", labels="all.tsv", background="quiet")
    table = manifest_of(project)
    assert table.loc["night/c.wav", "label"] == "quiet"
    assert table.loc["night/a.wav", "reason"] == "no labels"


def test_a_class_map_is_of_the_labels_of_events(project):
    write_project(project, TRACKS | {"night/c.txt": "1\t3\twind\n"})
    layout = {"kind": "events", "format": "audacity", "labels": "{stem}.txt", "background": "quiet"}
    project.card("street", source={"folder": "."}, layout=layout, classes={"loud": ["siren", "horn"], "rest": "*"})
    table = manifest_of(project)
    assert table["label"].fillna("").tolist() == ["", "loud", "", "rest"]
    assert [one["label"] for one in table.loc["day/a.wav", "stretches"]] == ["rest", "loud", "rest", "loud", "rest"]
    layout.pop("background")
    project.card("street", source={"folder": "."}, layout=layout, classes={"a": "siren", "b": "horn"})
    table = manifest_of(project)
    assert (table.loc["night/c.wav", "status"], table.loc["night/c.wav", "reason"]) == (
        "left out",
        "no label is mapped",
    )
    assert table.loc["day/b.wav", "label"] == "a"


def test_the_map_of_a_union_comes_after_that_of_its_member():
    row = {"label": None, "annotations": annotations((0, 1, "wail"), (2, 3, "wind")), "background": "quiet"}
    inner = class_map.mapped([row], {"siren": ["wail"], "other": ["*"]}, "card")
    (outer,) = class_map.mapped(inner, {"emergency": ["siren"]}, "card")
    assert outer["class_of"] == {"wail": "emergency"}


def test_what_labels_say_and_recordings_lack_is_told(project):
    tracks = TRACKS | {
        "day/a.txt": "1\t4\tsiren\n3\t8\thorn\n9\t14\tsiren\n",
        "night/ghost.txt": "1\t2\tsiren\n3\t5\thorn\n",
    }
    write_project(project, tracks)
    said = invoke(manifest_stage.main, "street")
    counts = files.read_json(project.data("manifest", "street.json"))
    assert counts["set_aside"] == {"missing": 1, "no labels": 1}
    assert counts["not_used"] == {
        "beyond the end": {"stretches": 1, "seconds": 4.0},
        "overlap": {"stretches": 1, "seconds": 1.0},
        "recording set aside": {"stretches": 2, "seconds": 3.0},
    }
    assert said.count("warning: ") == 3 and "Labels reach beyond the end of their recording (1, by 4 s" in said


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("dcase", "filename\tonset\toffset\tevent_label\n{a}\t1\t4\tsiren\n{b}\t2\t4\thorn\n"),
        ("csv", "file,start,end,label\n{a},1,4,siren\n{b},2,4,horn\n"),
        (
            "raven",
            "Selection\tBegin Time (s)\tEnd Time (s)\tBegin File\tAnnotation\n"
            "1\t1\t4\t{a}\tsiren\n2\t2\t4\t{b}\thorn\n",
        ),
    ],
    ids=["dcase", "csv", "raven"],
)
@pytest.mark.parametrize(
    ("a", "b"), [("day/a.wav", "b.wav"), ("day/a", "b"), ("/home/me/day/a.flac", "x/day/b.wav"), ("day\\a.wav", "b")]
)
def test_a_table_names_recordings_in_many_ways(form, text, a, b, project):
    write_project(project, {"all.txt": text.format(a=a, b=b)}, format=form, labels="all.txt")
    table = manifest_of(project)
    assert table["label"].dropna().to_dict() == {"day/a.wav": "siren", "day/b.wav": "horn"}


def test_segments_of_audioset_are_found_by_their_id(project):
    header = "segment_id\tstart_time_seconds\tend_time_seconds\tlabel\n"
    write_project(project, {}, format="audioset", labels="train.tsv")
    raw = project.data("raw", "street")
    (raw / "day" / "b.wav").rename(raw / "day" / "b0RFKhbpFJA_30000.wav")
    (raw / "train.tsv").write_text(f"{header}b0RFKhbpFJA_30000\t1\t4\tsiren\nc_2000\t0\t3\thorn\ngone_0\t0\t3\thorn\n")
    table = manifest_of(project)
    assert table["label"].dropna().to_dict() == {"day/b0RFKhbpFJA_30000.wav": "siren", "night/c.wav": "horn"}
    assert table.loc["gone_0", "reason"] == "missing"


@pytest.mark.parametrize(
    ("texts", "layout", "told"),
    [
        (
            {"all.csv": "file,start,end,label\na.wav,1,2,siren\n"},
            {"format": "csv", "labels": "all.csv"},
            "all.csv, line 2: 'a.wav' could be any of day/a.wav, night/a.wav: write its path",
        ),
        (
            {"all.csv": "file,start,end,label\nb.wav,1,2,siren\nday/b.wav,1,2,siren\n"},
            {"format": "csv", "labels": "all.csv"},
            "line 3: 'day/b.wav' and 'b.wav' are both taken for day/b.wav",
        ),
        (
            {"all.csv": "start,end,label\n1,2,siren\n"},
            {"format": "csv", "labels": "all.csv"},
            "all.csv, line 2: names no recording",
        ),
        ({}, {"format": "csv", "labels": "all.csv"}, "all.csv can't be read: No such file"),
        ({"day/a.txt": "1\t0\tsiren\n"}, {}, "a.txt, line 1: the end, 0, must not be before the start, 1"),
        ({"a.txt": "0\t1\tsiren\n"}, {"labels": "./../street/{stem}.txt"}, "leads out of its folder"),
        ({}, {"labels": "all.txt"}, "a label track of Audacity names no file"),
        ({}, {"labels": "{file}.txt"}, "a pattern has {stem}, {name} or {path}"),
        ({}, {"columns": {"label": "x"}}, "columns are for csv and raven"),
        ({}, {"unlabelled": "background"}, "needs background: CLASS"),
    ],
)
def test_a_fault_of_the_labels_is_one_line(texts, layout, told, project):
    write_project(project, texts, **layout)
    done = CliRunner().invoke(manifest_stage.main, ["street"])
    assert done.exit_code == 1 and done.output.count("\n") == 1
    assert told in done.output


def test_one_label_file_is_not_that_of_two_recordings(project):
    write_project(project, {"a.txt": "0\t1\tsiren\n"}, folder="day", labels="{stem}.txt")
    labels = project.data("raw", "street", "labels")
    labels.mkdir()
    (labels / "a.txt").write_text("0\t1\tsiren\n")
    write_project(project, {}, labels="labels/{stem}.txt")
    done = CliRunner().invoke(manifest_stage.main, ["street"])
    assert "a.txt would label both day/a.wav and night/a.wav: use {path} or {name}" in done.output
    (labels / "day").mkdir()
    (labels / "a.txt").rename(labels / "day" / "a.txt")
    (labels / "day" / "b.txt").write_text("0\t4\thorn\n")
    write_project(project, {}, labels="labels/{path}.txt")
    assert manifest_of(project)["label"].dropna().to_dict() == {"day/a.wav": "siren", "day/b.wav": "horn"}


def test_a_name_in_a_table_leads_nowhere_else(project, tmp_path):
    write_audio(tmp_path / "data" / "raw" / "secret.wav", noise(10, 4000, seed=9), 4000)
    text = "file,start,end,label\n../secret.wav,1,4,siren\nday/a.wav,1,4,siren\nday/b.wav,1,4,horn\n"
    write_project(project, {"all.csv": text}, format="csv", labels="all.csv")
    assert manifest_of(project).loc["secret.wav", "reason"] == "missing"


def test_recordings_with_sets_of_classes_are_split_and_audited(project):
    tracks = "1\t7\tsiren\n4\t10\thorn\n16.2\t16.6\tbell\n15\t18\thorn\n"
    write_project(project, {}, background="quiet", overlaps="together")
    raw = project.data("raw", "street")
    for number in range(9):
        write_audio(raw / f"{number}.wav", noise(20, 4000, seed=20 + number), 4000)
        (raw / f"{number}.txt").write_text(tracks)
    assert load_card("street").multi_label
    said = invoke(manifest_stage.main, "street")
    assert "overlap" not in said
    counts = files.read_json(project.data("manifest", "street.json"))
    assert counts["classes"] == {"bell": 9, "horn": 9, "quiet": 9, "siren": 9} and counts["not_used"] == {}
    assert counts["stretches"]["siren"] == {"stretches": 18, "seconds": 54.0}
    for stage in (fingerprint_stage, split_stage, audit_stage):
        invoke(stage.main, "street")
    split = files.read_table(project.data("splits", "street", "grouped.parquet"))
    sets = ['["bell", "horn"]', '["horn", "siren"]', '["horn"]', '["quiet"]', '["siren"]']
    assert sorted(split["label"].unique()) == sets
    assert files.read_json(project.data("audit", "street.json"))["leaking"] == {"grouped": []}


def test_every_recording_and_every_event_is_accounted_for_to_the_end(project):
    """Read, set aside and ignored are all files; each event has a window in the split, or is counted."""
    write_project(project, {"notes.md": "notes", "day/a.txt": "0\t5\tsiren\n5\t5.5\thorn\n5.5\t10\tsiren\n"})
    params = project.params()
    project.params(
        windows=params["windows"] | {"street": {"length": 2.0, "hop": 1.0, "pad": "zero"}},
        split=params["split"] | {"folds": {"default": 3}},
    )
    raw = project.data("raw", "street")
    for number in range(6):
        write_audio(raw / f"{number}.wav", noise(8, 4000, seed=20 + number), 4000)
        (raw / f"{number}.txt").write_text("1\t3.5\tsiren\n4.2\t4.4\thorn\n7.9\t7.95\thorn\n")
    for number, track in enumerate(["0\t1.2\thorn\n", "0.5\t0.8\tsiren\n"]):
        write_audio(raw / f"short-{number}.wav", noise(1.2, 4000, seed=40 + number), 4000)
        (raw / f"short-{number}.txt").write_text(track)
    for stage in (manifest_stage, fingerprint_stage):
        invoke(stage.main, "street")
    said = invoke(split_stage.main, "street")
    counts = files.read_json(project.data("manifest", "street.json"))
    recordings = manifest.read("street")
    there = sum(path.is_file() for path in raw.rglob("*"))
    assert counts["read"] + sum(counts["set_aside"].values()) + sum(counts["ignored"].values()) == there
    assert (counts["read"], counts["padded"]) == (9, 2)
    audit_said = invoke(audit_stage.main, "street")
    audit = files.read_json(project.data("audit", "street.json"))
    assert audit["without_window"] == {"horn": 1} and "events without a window: 1 (horn 1)" in said
    assert "events without a window: 1 (horn 1)" in audit_said and any(
        "Events without a window: 1 (horn 1)" in line for line in words.why([], None, audit)
    )
    events_of = manifest.stretches(recordings).query("kind == 'event'")
    for protocol in ("published", "grouped"):
        split = files.read_table(project.data("splits", "street", f"{protocol}.parquet"))
        assert split["recording"].nunique() + sum(audit["left_out"][protocol].values()) == counts["read"]
        assert {"short-0.wav", "short-1.wav"} <= set(split["recording"])
        both = events_of.merge(split[["recording", "label", "start", "stop"]], on=["recording", "label"])
        heard = both[(both["start_x"] < both["stop_y"]) & (both["stop_x"] > both["start_y"])]
        used = len(heard.drop_duplicates(["recording", "label", "start_x"]))
        assert used + sum(audit["without_window"].values()) == len(events_of) == 23


@pytest.mark.parametrize(
    ("track", "spans"),
    [
        ((0.5, 0.8, "siren"), [("siren", 0, 2)]),
        ((0.0, 1.2, "siren"), [("siren", 0, 2)]),
        (None, [("quiet", 0, 2)]),
    ],
)
def test_a_recording_that_is_padded_is_one_window_of_its_event_or_of_the_background(track, spans):
    found = stretches(annotations(*([track] if track else [])), 1.2, "quiet")
    recordings = pd.DataFrame([recording(found, 1.2, padded=0.8)])
    made, unused = events.spans_of(recordings, WINDOW)
    holding = [span for span in made.itertuples() if len(windows.starts(span.start, span.stop, **WINDOW))]
    assert [(span.label, span.start, span.stop) for span in holding] == spans and unused.empty


def test_a_class_of_events_does_not_begin_with_a_bracket(project):
    write_project(project, {"day/a.txt": "0\t4\t[noise]\n", "day/b.txt": "0\t4\tsiren\n"})
    assert "the class [noise] begins with a bracket" in invoke(manifest_stage.main, "street", code=1)


# --- splits


def many(project, **layout):
    """Return card, recordings and params of twelve recordings with three classes each."""
    project.card("street", source={"folder": "."}, layout={"kind": "events", "format": "csv", "labels": "x", **layout})
    rows = []
    for number in range(12):
        found = stretches(annotations((2, 8, "siren"), (15.3, 15.9, "horn"), (22, 26, "horn")), 30.0, "quiet")
        rows.append(recording(found, 30.0, f"{number}.wav", status="read", label=None))
    return load_card("street"), pd.DataFrame(rows), read_params()


NONE = pd.DataFrame(columns=["recording_a", "start_a", "recording_b", "start_b", "seconds", "correlation"])


def test_grouped_keeps_a_recording_with_all_its_events_together(project):
    card, recordings, params = many(project, background="quiet")
    split = protocols.make("grouped", card, recordings, NONE, params, None)
    assert (split.groupby(["fold", "recording"])["part"].nunique() == 1).all()
    assert split["fold"].nunique() == 5 and set(split["label"]) == {"siren", "horn", "quiet"}
    tested = split[split["part"] == "test"]
    assert len(tested) == len(labelled(recordings, WINDOW)) and not tested.duplicated(["recording", "start"]).any()


def test_published_draws_windows_within_events(project):
    card, recordings, params = many(project, background="quiet")
    split = protocols.make("published", card, recordings, NONE, params, None)
    assert np.allclose(split["stop"] - split["start"], 2.0) and split["group"].eq(split["recording"]).all()
    train, test = (set(split.loc[split["part"] == part, "recording"]) for part in ("train", "test"))
    assert train & test, "windows of one recording are on both sides, as the tutorials have it"


def test_a_class_without_any_window_is_named(project):
    _, recordings, _ = many(project)
    with pytest.raises(EarshotError, match="no window fits into an event of bell"):
        protocols.check_classes(labelled(recordings, WINDOW), ["bell", "horn"], "street")


# --- the whole of it


def test_the_card_of_the_documents_runs(project):
    text = (PROJECT / "docs" / "own-recordings.md").read_text()
    (block,) = [block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "kind: events" in block]
    assert len(block.splitlines()) == 10
    path = project.root / "conf" / "cards" / "my_dawn.yaml"
    path.write_text(block)
    for number in range(10):
        name = project.data("raw", "my_dawn", f"{number}.wav")
        write_audio(name, noise(20, 4000, seed=number), 4000)
        name.with_suffix(".txt").write_text("2\t6\twren\n9.5\t9.9\tcrow\n")
    said = invoke(manifest_stage.main, "my_dawn")
    assert "10 files read, set aside: none" in said
    invoke(fingerprint_stage.main, "my_dawn")
    invoke(split_stage.main, "my_dawn")
    split = files.read_table(project.data("splits", "my_dawn", "grouped.parquet"))
    assert set(split["label"]) == {"wren", "crow", "quiet"}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory) -> Iterator[Project]:
    """A project of recordings of 30 s with events of two classes, that has been through all stages."""
    made = Project(tmp_path_factory.mktemp("events"))
    log_mel_cnn(made, "street", epochs=3, noise={})
    layout = {"kind": "events", "format": "dcase", "labels": "all.tsv", "background": "quiet"}
    made.card("street", task="sirens", source={"folder": "recordings/street"}, layout=layout)
    recordings = made.root / "recordings" / "street"
    rows = ["filename\tonset\toffset\tevent_label"]
    for number in range(9):
        samples = noise(30, RATE, seed=number)[:, 0]
        horn, bell = tone(900, 6, RATE), 0.4 * tone(300, 0.5, RATE)
        samples[3 * RATE : 9 * RATE] += horn
        samples[round(20.2 * RATE) : round(20.2 * RATE) + len(bell)] += bell
        samples[24 * RATE : 28 * RATE] += 0.4 * tone(300, 4, RATE)
        write_audio(recordings / f"{number}.wav", samples, RATE)
        rows += [
            f"{number}.wav\t{start}\t{end}\t{label}"
            for start, end, label in [(3, 9, "horn"), (20.2, 20.7, "bell"), (24, 28, "bell")]
        ]
    (recordings / "all.tsv").write_text("\n".join(rows) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EARSHOT_ROOT", str(made.root))
        patch.setenv("MLFLOW_TRACKING_URI", new_store(made.root / "mlflow.db"))
        invoke(download_stage.main, "street")
        through_the_stages("street")
        invoke(compare_stage.main)
        yield made


@pytest.mark.process
def test_recordings_with_events_go_through_the_whole_pipeline(pipeline):
    rows = json.loads(pipeline.data("report", "comparison.json").read_text())
    assert {row["protocol"] for row in rows} == {"published", "grouped"}
    frame = files.read_table(pipeline.data("predictions", "street", "log_mel-cnn.parquet"))
    grouped = frame[frame["protocol"] == "grouped"]
    assert set(grouped["label"]) == {"horn", "bell", "quiet"} and grouped["recording"].nunique() == 9
    assert not grouped["heard"].any() and not grouped.duplicated(["recording", "start"]).any()
    # the windows at 19 or 20 s are the short bells', and no background is left there
    short = grouped[(grouped["start"] > 18) & (grouped["start"] < 21)]
    assert short["label"].eq("bell").all() and len(short) == 9
    audit = files.read_json(pipeline.data("audit", "street.json"))
    assert audit["leaking"] == {"grouped": []}
    page = pipeline.data("report", "index.html").read_text()
    assert "street" in page and "quiet 9" in page


@pytest.mark.process
def test_a_dataset_of_events_can_be_explored(pipeline):
    invoke(main.main, "explore", "street", "--workers", "1")
    page = pipeline.data("explore", "street", "index.html").read_text()
    assert all(f"<figcaption>{label}</figcaption>" in page for label in ("horn", "bell", "quiet"))


@pytest.mark.process
def test_a_union_with_events_goes_through_the_whole_pipeline(project, monkeypatch):
    """Of recordings with label tracks, and of clips in class folders; the models are trained on both."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", new_store(project.root / "mlflow.db"))
    log_mel_cnn(project, "both", epochs=1, protocols=["grouped"])
    layout = {"kind": "events", "format": "audacity", "labels": "{stem}.txt", "background": "other"}
    project.card("dawn", task="birds", source={"folder": "recordings/dawn"}, layout=layout)
    project.card("clips", task="birds", source={"folder": "recordings/clips"}, layout={"kind": "class_folders"})
    maps = {"dawn": {"classes": {"wren": "wren", "rest": ["crow", "other"]}}, "clips": {}}
    project.card("both", task="birds", union=maps)
    recordings = project.root / "recordings"
    for number in range(6):
        sound = noise(12, RATE, seed=number)[:, 0]
        sound[RATE : 5 * RATE] += tone(900, 4, RATE)
        write_audio(recordings / "dawn" / f"{number}.wav", sound, RATE)
        (recordings / "dawn" / f"{number}.txt").write_text("1\t5\twren\n7.2\t7.5\tcrow\n")
        label, pitch = [("wren", 900), ("rest", 300)][number % 2]
        write_audio(recordings / "clips" / label / f"{number}.wav", tone(pitch, 4, RATE, seed=50 + number), RATE)
    invoke(download_stage.main, "both")
    through_the_stages("both")
    assert "both" in invoke(compare_stage.main)
    frame = files.read_table(project.data("predictions", "both", "log_mel-cnn.parquet"))
    assert set(frame["label"]) == {"wren", "rest"} and set(frame["recording"].str[:5]) == {"dawn/", "clips"}
    assert frame["recording"].nunique() == 12 and not frame["heard"].any()
    (row,) = json.loads(project.data("report", "summary.json").read_text())["scores"]
    assert row["recordings"] == 18, "each of the events' classes counts for itself"
