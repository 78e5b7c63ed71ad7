"""People's layouts: tables of recordings, published folds, maps of classes, and unions of datasets."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import tarfile
import unicodedata
import zipfile
from itertools import product

import pandas as pd
import pytest
import soundfile
import yaml

from conftest import PROJECT, invoke, noise, write_audio
from earshot import files
from earshot.batches.prepare import dataset_of
from earshot.cli import main
from earshot.datasets import examine, manifest
from earshot.datasets.card import load_card, trained_on
from earshot.datasets.download import download
from earshot.datasets.download.checksums import read_list
from earshot.errors import EarshotError
from earshot.evaluation.cross_dataset import _same_features, others, same_task
from earshot.leaks.duplicates import STRETCH
from earshot.report import words
from earshot.settings import compose
from earshot.stages import audit as audit_stage
from earshot.stages import compare as compare_stage
from earshot.stages import cross_dataset as cross_dataset_stage
from earshot.stages import download as download_stage
from earshot.stages import evaluate as evaluate_stage
from earshot.stages import fingerprint as fingerprint_stage
from earshot.stages import manifest as manifest_stage
from earshot.stages import noise as noise_stage
from earshot.stages import split as split_stage
from earshot.stages import swapped as swapped_stage
from earshot.stages import train as train_stage

RATE = 8000
LAYOUT = {
    "kind": "table",
    "file": "metadata/all.csv",
    "path": "audio/fold{fold}/{slice_file_name}",
    "label": "class",
    "group": "fsID",
    "fold": "fold",
}
HEADER = "slice_file_name,fsID,fold,classID,class"


def table_rows(folds: int = 3, each: int = 2) -> list[tuple[str, int, int, int, str]]:
    """Return rows such as UrbanSound8K's: a recording on the web (fsID) is in one fold."""
    return [
        (f"{1000 * fold + number}-{label}-0-0.wav", 1000 * fold + number, fold, label, name)
        for fold in range(1, folds + 1)
        for label, name in enumerate(["dog_bark", "siren", "drilling"])
        for number in range(each * label, each * label + each)
    ]


def write_table(project, rows, name="urban", header=HEADER):
    path = project.data("raw", name, "metadata", "all.csv")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")


def write_recordings(project, rows, name="urban"):
    for seed, row in enumerate(rows):
        write_audio(project.data("raw", name, "audio", f"fold{row[2]}", row[0]), noise(2.5, RATE, seed), RATE)


def table_card(project, name="urban", **changes):
    known = {key: changes.pop(key) for key in list(changes) if key in ("classes", "known_bad", "test_only")}
    project.card(name, source={"folder": "."}, layout={**LAYOUT, **changes}, **known)


@pytest.fixture
def urban(project):
    """A dataset in UrbanSound8K's layout: three folds, three classes, two groups of each in each fold."""
    table_card(project)
    write_table(project, table_rows())
    write_recordings(project, table_rows())
    params = project.params(datasets=["urban"], protocols=["grouped"])
    project.params(split=params["split"] | {"folds": {"default": 2}})
    return project


def built(project, name="urban"):
    return examine.build(load_card(name), project.data("raw", name), 2.0, -80).set_index("path")


# Tables


def test_a_table_says_where_a_recording_is_and_its_label_group_and_fold(urban):
    rows = built(urban)
    assert len(rows) == 18 and (rows["status"] == "read").all()
    row = rows.loc["audio/fold2/2002-1-0-0.wav"]
    assert (row["label"], row["group"], row["fold"]) == ("siren", "2002", "2")
    assert list(rows.index) == sorted(rows.index)


def test_without_a_group_each_recording_of_a_table_is_its_own(urban):
    table_card(urban, group=None, fold=None)
    rows = built(urban)
    assert (rows["group"] == rows.index).all() and rows["fold"].isna().all()


def test_a_row_without_a_file_and_a_file_without_a_row_are_told(urban):
    raw = urban.data("raw", "urban")
    (raw / "audio/fold1/1000-0-0-0.wav").unlink()
    write_audio(raw / "audio/fold3/extra.wav", noise(2.5, RATE, 99), RATE)
    rows = built(urban)
    assert len(rows) == 19
    assert tuple(rows.loc["audio/fold1/1000-0-0-0.wav", ["status", "reason"]]) == ("set aside", "missing")
    left_out = rows.loc["audio/fold3/extra.wav"]
    assert tuple(left_out[["status", "reason"]]) == ("left out", "not in metadata/all.csv")
    said = invoke(manifest_stage.main, "urban")
    assert "17 files read, set aside: 1 missing, 1 not in metadata/all.csv" in said


def test_what_a_table_leaves_out_does_not_count_as_a_fault(urban):
    write_table(urban, [row for row in table_rows() if row[2] != 3])
    assert "12 files read, set aside: 6 not in metadata/all.csv" in invoke(manifest_stage.main, "urban")
    for row in table_rows()[:3]:
        urban.data("raw", "urban", "audio", "fold1", row[0]).unlink()
    assert "3 of 12 files of urban were set aside" in invoke(manifest_stage.main, "urban", code=1)


def test_a_row_without_a_label_is_set_aside(urban):
    rows = [(*row[:4], "") if row[0].startswith("1000-") else row for row in table_rows()]
    write_table(urban, rows)
    row = built(urban).loc["audio/fold1/1000-0-0-0.wav"]
    assert tuple(row[["status", "reason"]]) == ("set aside", "no class in metadata/all.csv")


def test_a_listed_file_is_there_whatever_its_suffix(urban):
    rows = [
        (row[0].replace(".wav", ".txt") if row[0].startswith("1000-") else row[0], *row[1:]) for row in table_rows()
    ]
    write_table(urban, rows)
    raw = urban.data("raw", "urban", "audio", "fold1")
    (raw / "1000-0-0-0.wav").rename(raw / "1000-0-0-0.txt")
    (raw / "notes.txt").write_text("no recording, and no row")
    rows = built(urban)
    assert len(rows) == 18 and rows.loc["audio/fold1/1000-0-0-0.txt", "reason"] != "missing"


def test_the_words_na_and_none_are_labels_and_groups(urban):
    words = ["NA", "None", "nan", "null"]
    rows = [(*row[:1], words[n % 4], row[2], row[3], words[row[3]]) for n, row in enumerate(table_rows())]
    write_table(urban, rows)
    found = built(urban)
    assert set(found["label"]) == {"NA", "None", "nan"} and set(found["group"]) == set(words)


@pytest.mark.parametrize(
    ("pattern", "column"),
    [("audio/fold{fold}/{id}.wav", "id"), ("{where}", "where"), ("./audio/{where}", "where")],
)
def test_a_pattern_of_paths(pattern, column, urban):
    rows = [
        (row[0].removesuffix(".wav") if column == "id" else place, *row[1:])
        for row in table_rows()
        for place in [f"fold{row[2]}/{row[0]}" if pattern.startswith("./") else f"audio\\fold{row[2]}\\{row[0]}"]
    ]
    write_table(urban, rows, header=HEADER.replace("slice_file_name", column))
    table_card(urban, path=pattern)
    rows = built(urban)
    assert len(rows) == 18 and (rows["status"] == "read").all()


def test_an_accent_is_the_same_letter_however_it_is_encoded(urban):
    composed, apart = (unicodedata.normalize(form, "é.wav") for form in ("NFC", "NFD"))
    write_audio(urban.data("raw", "urban", "audio", "fold1", apart), noise(2.5, RATE, 99), RATE)
    write_table(urban, [*table_rows(), (composed, 1, 1, 0, "dog_bark")])
    assert (built(urban)["status"] == "read").all()


def test_rows_that_agree_are_one_and_rows_that_contradict_each_other_are_named(urban):
    first = table_rows()[0]
    write_table(urban, [*table_rows(), first])
    assert len(built(urban)) == 18
    write_table(urban, [*table_rows(), (*first[:4], "siren")])
    with pytest.raises(EarshotError, match=r"all.csv, line 20: audio/fold1/1000-0-0-0.wav has a row already, line 2"):
        built(urban)


@pytest.mark.parametrize(
    ("changes", "rows", "told"),
    [
        ({"label": "klass"}, None, "all.csv has no column klass; it has slice_file_name, fsID, fold, classID, class"),
        ({"path": "audio/{name}"}, None, "all.csv has no column name"),
        ({"file": "metadata/none.csv"}, None, "none.csv is missing"),
        ({}, [("../../a.wav", 1, 1, 0, "x")], "all.csv, line 2: 'audio/fold1/../../a.wav' leads out"),
        ({"path": "{slice_file_name}"}, [("/etc/passwd", 1, 1, 0, "x")], "line 2: '/etc/passwd' leads out"),
        ({}, [("", 1, 1, 0, "x")], "line 2: slice_file_name is empty"),
        ({"path": "{slice_file_name}"}, None, r"its first is 1000-0-0-0.wav. audio/fold1/1000-0-0-0.wav is"),
        (
            {"path": "audio/fold{fold}/{slice_file_name}"},
            [("1000-0-0-0", 1, 1, 0, "x")],
            r"audio/fold1/1000-0-0-0.wav is: write audio/fold\{fold\}/\{slice_file_name\}.wav",
        ),
    ],
)
def test_a_fault_of_a_table_is_one_line(changes, rows, told, urban):
    table_card(urban, **changes)
    if rows:
        write_table(urban, rows)
    with pytest.raises(EarshotError, match=told) as error:
        built(urban)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("path", "told"),
    [("filename", "names no column: write {filename}"), ("../{a}", "leads out"), ("/{a}", "leads out")],
)
def test_a_fault_of_a_pattern_is_told_with_its_key(path, told, project):
    table_card(project, path=path)
    with pytest.raises(EarshotError, match=rf"layout\.path: .*{told}"):
        load_card("urban")


def test_a_table_may_be_tabbed(urban):
    path = urban.data("raw", "urban", "metadata", "all.csv")
    path.with_suffix(".tsv").write_text(path.read_text().replace(",", "\t"))
    table_card(urban, file="metadata/all.tsv")
    assert (built(urban)["status"] == "read").all()


CLIPS = {
    "kind": "table",
    "file": "all.csv",
    "path": "{file}",
    "group": "site",
    "fold": "fold",
    "start": "from",
    "end": "to",
}


@pytest.fixture
def clips(project):
    """Clips of two classes in six recordings of 20 s, at three sites."""
    project.card("clips", source={"folder": "."}, layout=CLIPS)
    raw = project.data("raw", "clips")
    lines = ["file,site,fold,from,to,label"]
    for n in range(6):
        write_audio(raw / f"{n}.wav", noise(20, RATE, n), RATE)
        lines += [f"{n}.wav,site{n % 3},{n % 3},1,5.5,siren", f"{n}.wav,site{n % 3},{n % 3},10,16,dog"]
    (raw / "all.csv").write_text("\n".join(lines))
    project.params(protocols=["published", "grouped"])
    return raw


def test_a_row_may_be_a_clip_of_a_longer_recording(clips, project):
    assert "published folds: used" in prepared(project, "clips")
    split = split_of(project, "clips")
    tested = split[split["part"] == "test"]
    assert len(tested) == 12 and set(zip(tested["label"], tested["start"], tested["stop"], strict=True)) == {
        ("siren", 1.0, 5.5),
        ("dog", 10.0, 16.0),
    }
    assert (tested["group"] == "site" + (tested["recording"].str[0].astype(int) % 3).astype(str)).all()
    published = files.read_table(project.data("splits", "clips", "published.parquet"))
    used = published[published["part"] != "validation"]
    assert len(used) == 6 * (3 + 5), "windows at 1, 2 and 3 s, and at 10 to 14 s"
    assert "grouped: 0.0% of 48" in invoke(audit_stage.main, "clips")


def test_clips_have_class_maps_and_are_in_unions(clips, project):
    project.card("clips", source={"folder": "sounds"}, layout=CLIPS, classes={"alarm": ["siren"], "other": "*"})
    shutil.copytree(clips, project.root / "sounds")
    layout = {"kind": "long_recordings", "recordings": {"alarm": "0.wav", "other": "1.wav"}}
    project.card("long", source={"folder": "long"}, layout=layout)
    for n in (0, 1):
        write_audio(project.root / "long" / f"{n}.wav", noise(60, RATE, 90 + n), RATE)
    project.card("both", union=["clips", "long"])
    params = project.params()
    project.params(split=params["split"] | {"block_seconds": 10.0, "folds": {"default": 3}})
    invoke(download_stage.main, "both")
    prepared(project, "both")
    split = split_of(project, "both")
    tested = split[split["part"] == "test"]
    assert len(tested) == 12 + 12 and set(tested["label"]) == {"alarm", "other"}
    assert (split.groupby(["fold", "group"])["part"].nunique() == 1).all()
    project.card("clips", source={"folder": "sounds"}, layout=CLIPS, classes={"alarm": ["siren"], "b": ["cat"]})
    with pytest.raises(EarshotError, match="classes names 'cat', and the dataset's labels are dog, siren"):
        built(project, "clips")


def test_clips_of_one_file_have_one_group_and_faults_are_named_with_their_line(clips, project):
    path = clips / "all.csv"
    text = path.read_text()
    path.write_text(text.replace("0.wav,site0,0,10", "0.wav,site1,0,10"))
    with pytest.raises(EarshotError, match=r"line 3: 0.wav has a row already, line 2, with another group or fold"):
        built(project, "clips")
    path.write_text(text.replace(",10,16,dog", ",ten,16,dog", 1))
    with pytest.raises(EarshotError, match=r"all.csv, line 3: the start is 'ten', and must be a number"):
        built(project, "clips")
    project.card("clips", source={"folder": "."}, layout={**CLIPS, "end": None})
    with pytest.raises(EarshotError, match=r"start and end go together"):
        load_card("clips")
    project.card("clips", source={"folder": "."}, layout={**CLIPS, "separator": ";"})
    with pytest.raises(EarshotError, match=r"a clip has one label"):
        load_card("clips")


# Published folds


def prepared(project, name="urban"):
    invoke(manifest_stage.main, name)
    invoke(fingerprint_stage.main, name)
    return invoke(split_stage.main, name)


def split_of(project, name="urban"):
    return files.read_table(project.data("splits", name, "grouped.parquet"))


def folds_of_tests(project, name="urban"):
    """Return the spans that are tested, with the split's fold (fold_x) and the published one (fold_y)."""
    split = split_of(project, name)
    return split[split["part"] == "test"].merge(manifest.read(name)[["recording", "fold"]], on="recording")


def test_leak_free_published_folds_are_used_and_the_audit_says_so(urban):
    said = prepared(urban)
    assert "published folds: used; no group on two sides; split.folds in params.yaml does not apply" in said
    tested = folds_of_tests(urban)
    assert len(tested) == 18 and (tested["fold_x"] + 1 == tested["fold_y"].astype(int)).all()
    assert "published folds: used; no group on two sides" in invoke(audit_stage.main, "urban")
    found = files.read_json(urban.data("audit", "urban.json"))
    assert found["published_folds"] == "published folds: used; no group on two sides"


def test_ten_folds_are_in_the_order_of_their_numbers(urban):
    write_table(urban, table_rows(folds=11, each=1))
    write_recordings(urban, table_rows(folds=11, each=1))
    prepared(urban)
    tested = folds_of_tests(urban)
    assert (tested["fold_x"] + 1 == tested["fold_y"].astype(int)).all() and tested["fold_x"].max() == 10


def test_published_folds_that_leak_are_not_used_and_the_group_is_named(urban):
    rows = [(row[0], 1234 if row[1] in (1000, 3000) else row[1], *row[2:]) for row in table_rows()]
    write_table(urban, rows)
    said = prepared(urban)
    assert "published folds: not used; group 1234 is in folds 1 and 3" in said
    split = split_of(urban)
    assert split["fold"].nunique() == 2, "own folds are made then"
    assert (split.groupby(["fold", "group"])["part"].nunique() == 1).all()
    assert "published folds: not used; group 1234 is in folds 1 and 3" in invoke(audit_stage.main, "urban")


def test_published_folds_that_share_sound_are_not_used_and_both_groups_are_named(urban):
    invoke(manifest_stage.main, "urban")
    invoke(fingerprint_stage.main, "urban")
    shared = ["audio/fold1/1000-0-0-0.wav", 0.0, "audio/fold3/3000-0-0-0.wav", 0.0, 2.0, 1.0]
    table = pd.DataFrame([shared], columns=STRETCH)
    files.write_table(urban.data("fingerprint", "urban", "duplicates.parquet"), table, {"dataset": "urban"})
    expected = "published folds: not used; groups 1000, 3000 share sound and are in folds 1 and 3"
    assert expected in invoke(split_stage.main, "urban")
    assert expected in invoke(audit_stage.main, "urban")


def test_recordings_without_a_fold_are_told(urban):
    rows = [(*row[:2], "" if row[1] == 1000 else row[2], *row[3:]) for row in table_rows()]
    rows = [(f"fold1/{row[0]}" if not row[2] else f"fold{row[2]}/{row[0]}", *row[1:]) for row in rows]
    write_table(urban, rows)
    table_card(urban, path="audio/{slice_file_name}")
    expected = "published folds: not used; 1 recording has no fold, audio/fold1/1000-0-0-0.wav"
    assert expected in prepared(urban) and expected in invoke(audit_stage.main, "urban")


def test_a_class_that_a_published_fold_lacks_is_named_with_what_to_do(urban):
    rows = [row for row in table_rows() if not (row[2] == 2 and row[4] == "siren")]
    write_table(urban, rows)
    invoke(manifest_stage.main, "urban")
    invoke(fingerprint_stage.main, "urban")
    said = invoke(split_stage.main, "urban", code=1)
    assert "the test part of fold 1 has no siren. These are the published folds: take `fold` out of the card" in said
    table_card(urban, train_only=["siren"])
    invoke(split_stage.main, "urban")
    split = split_of(urban)
    assert set(split.loc[split["label"] == "siren", "part"]) == {"train"}


# Class maps

MAP = {"alarm": ["siren"], "other": "*"}


def test_a_class_map_makes_the_labels_classes(urban):
    table_card(urban, classes=MAP)
    rows = built(urban)
    assert rows["label"].value_counts().to_dict() == {"other": 12, "alarm": 6}
    assert (rows["status"] == "read").all()


def test_a_label_in_no_class_is_left_out_and_told(urban):
    table_card(urban, classes={"alarm": "siren", "dog": ["dog_bark"]})
    rows = built(urban)
    left_out = rows[rows["status"] == "left out"]
    assert len(left_out) == 6 and set(left_out["reason"]) == {"class drilling is not mapped"}
    assert "12 files read, set aside: 6 class drilling is not mapped" in invoke(manifest_stage.main, "urban")
    assert files.read_json(urban.data("manifest", "urban.json"))["classes"] == {"alarm": 6, "dog": 6}


def test_a_label_of_numbers_may_be_written_as_a_number(urban):
    table_card(urban, label="classID", classes={"alarm": [1], "other": [0, 2]})
    assert built(urban)["label"].value_counts().to_dict() == {"other": 12, "alarm": 6}


@pytest.mark.parametrize(
    ("classes", "told"),
    [
        (
            {"alarm": ["sirene"], "other": "*"},
            "urban.yaml: classes names 'sirene', and the dataset's labels are dog_bark, ",
        ),
        ({"a": ["siren"], "b": ["siren", "dog_bark"]}, "classes: .*'siren' is named twice"),
        ({"a": ["siren", "siren"], "b": "*"}, "classes: .*'siren' is named twice"),
        ({"a": "*", "b": "*"}, r"classes: .*'\*' is named twice"),
        ({"a": [], "b": "*"}, "classes.a: "),
        ({"a": [True], "b": "*"}, "classes.a.0"),
        ({"a": ["siren", "drilling"], "b": "dog_bark", "c": "*"}, r'nothing is left for c: "\*"'),
    ],
)
def test_a_fault_of_a_class_map_is_one_line(classes, told, urban):
    table_card(urban, classes=classes)
    with pytest.raises(EarshotError, match=told) as error:
        built(urban)
    assert "\n" not in str(error.value)


def test_class_folders_have_maps_too(project):
    layout = {"kind": "class_folders"}
    project.card(
        "birds", source={"folder": "."}, layout=layout, classes={"corvid": ["crow", "rook"], "small": ["wren"]}
    )
    for seed, name in enumerate(["crow/1.wav", "rook/1.wav", "wren/1.wav", "gull/1.wav"]):
        write_audio(project.data("raw", "birds", name), noise(2.5, RATE, seed), RATE)
    rows = built(project, "birds")
    assert list(rows["label"].fillna("")) == ["corvid", "", "corvid", "small"]
    assert rows.loc["gull/1.wav", "reason"] == "class gull is not mapped"


def test_long_recordings_of_one_class_keep_their_own_segments(project):
    layout = {
        "kind": "long_recordings",
        "recordings": {"siren": "a.wav", "horn": "b.wav", "traffic": "c.wav", "bell": "d.wav"},
        "segments": {"siren": "a.csv", "traffic": "c.csv"},
    }
    classes = {"alarm": ["siren", "horn"], "traffic": ["traffic"]}
    project.card("street", source={"folder": "."}, layout=layout, classes=classes)
    raw = project.data("raw", "street")
    for seed, name in enumerate("abcd"):
        write_audio(raw / f"{name}.wav", noise(100, 4000, seed), 4000)
    for name, every in (("a", 20), ("c", 25)):
        edges = range(0, 100, every)
        rows = [f"{edge * 4000},{(edge + every) * 4000},{name}{edge}" for edge in edges]
        (raw / f"{name}.csv").write_text("\n".join(["start_sample,end_sample,source", *rows]))
    params = project.params(protocols=["grouped"])
    project.params(split=params["split"] | {"folds": {"default": 3}, "block_seconds": 30.0})
    prepared(project, "street")
    tested = split_of(project, "street")[lambda split: split["part"] == "test"].sort_values("group")
    sizes = tested.groupby("recording").size().to_dict()
    assert sizes == {"a.wav": 5, "b.wav": 4, "c.wav": 4}, "blocks where the sources are not known"
    assert tested.groupby("label").size().to_dict() == {"alarm": 9, "traffic": 4}
    assert {"a20", "b.wav#001", "c25"} <= set(tested["group"])


# The shipped cards, on small fakes of what is published


def wav(seconds: float, seed: int) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, noise(seconds, RATE, seed), RATE, format="wav")
    return stream.getvalue()


def urbansound8k() -> dict[str, bytes]:
    """Return the files of a small UrbanSound8K: four classes, ten folds."""
    names = ["air_conditioner", "car_horn", "dog_bark", "siren"]
    rows = [
        (f"{100 * fold + label}-{label}-0-{take}.wav", fold, label)
        for fold, label, take in product(range(1, 11), range(4), range(2))
    ]
    lines = ["slice_file_name,fsID,start,end,salience,fold,classID,class"]
    lines += [f"{name},{100 * fold + label},0.0,4.0,1,{fold},{label},{names[label]}" for name, fold, label in rows]
    recordings = {f"audio/fold{row[1]}/{row[0]}": wav(2.5, seed) for seed, row in enumerate(rows)}
    others = {"audio/.DS_Store": b"x", "audio/fold1/.DS_Store": b"x", "UrbanSound8K_README.txt": b"Read me"}
    return {**recordings, **others, "metadata/UrbanSound8K.csv": "\n".join(lines).encode()}


def esc50() -> dict[str, bytes]:
    """Return the files of a small ESC-50: three classes, five folds."""
    names = ["dog", "rain", "siren"]
    rows = [
        (f"{fold}-{1000 * fold + label}-{take}-{label}.wav", fold, label, take)
        for fold, label, take in product(range(1, 6), range(3), "AB")
    ]
    lines = ["filename,fold,target,category,esc10,src_file,take"]
    lines += [
        f"{name},{fold},{label},{names[label]},{label < 2},{1000 * fold + label},{take}"
        for name, fold, label, take in rows
    ]
    recordings = {f"audio/{row[0]}": wav(2.5, seed) for seed, row in enumerate(rows)}
    return {**recordings, "meta/esc50.csv": "\n".join(lines).encode(), "README.md": b"Read me", "esc50.gif": b"GIF"}


def tarred(files: dict[str, bytes], top: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"{top}/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def zipped(files: dict[str, bytes], top: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"{top}/{name}", content)
    return stream.getvalue()


def serve(project, server, name: str, packed: bytes, **archive) -> None:
    """Serve an archive, and have the shipped card take it from there."""
    path = project.root / "conf" / "cards" / f"{name}.yaml"
    card = yaml.safe_load(path.read_text())
    server.files["packed"] = packed
    card["source"]["archive"] |= {"urls": [f"{server.address}/packed"], **archive}
    path.write_text(yaml.safe_dump(card))


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def test_urbansound8k_as_it_is_published(project, server):
    packed = tarred(urbansound8k(), "UrbanSound8K")
    serve(project, server, "urbansound8k", packed, md5=md5(packed))
    project.params(protocols=["grouped"])
    assert "verified, from" in invoke(download_stage.main, "urbansound8k")
    said = prepared(project, "urbansound8k")
    assert "published folds: used; no group on two sides" in said
    rows = manifest.read("urbansound8k")
    assert len(rows) == 80 and set(rows["label"]) == {"air_conditioner", "car_horn", "dog_bark", "siren"}
    assert split_of(project, "urbansound8k")["fold"].nunique() == 10
    assert (rows["group"] == rows["recording"].str.extract(r"/(\d+)-")[0]).all()


def test_an_archive_with_another_md5_is_refused(project, server):
    serve(project, server, "urbansound8k", tarred(urbansound8k(), "UrbanSound8K"))
    said = invoke(download_stage.main, "urbansound8k", code=1)
    assert "wrong bytes: MD5 is" in said and "expected 9aa69802bbf37fb986f71ec1483a196e" in said


def test_esc50_as_it_is_published(project, server):
    files_of = esc50()
    serve(project, server, "esc50", zipped(files_of, "ESC-50-master"))
    listed = [name for name in files_of if name.startswith(("audio/", "meta/"))]
    checksums = project.root / "conf" / "cards" / "esc50.md5"
    checksums.write_text("".join(f"{md5(files_of[name])}  {name}\n" for name in listed))
    project.params(protocols=["grouped"])
    assert "esc50: 31 files" in invoke(download_stage.main, "esc50")
    assert "published folds: used; no group on two sides" in prepared(project, "esc50")
    assert split_of(project, "esc50")["fold"].nunique() == 5 and len(manifest.read("esc50")) == 30
    checksums.write_text(checksums.read_text().replace(md5(files_of[listed[0]]), "0" * 32))
    said = invoke(download_stage.main, "esc50", code=1)
    assert f"wrong bytes (MD5 differs): {listed[0]}" in said


def test_a_union_takes_a_member_that_is_there_and_verified(project, server):
    """And fetches it anew where its files or its card have changed since."""
    files_of = esc50()
    serve(project, server, "esc50", zipped(files_of, "ESC-50-master"))
    listed = [name for name in files_of if name.startswith(("audio/", "meta/"))]
    checksums = project.root / "conf" / "cards" / "esc50.md5"
    checksums.write_text("".join(f"{md5(files_of[name])}  {name}\n" for name in listed))
    write_audio(project.root / "yard" / "dog" / "a.wav", noise(3, RATE), RATE)
    project.card("yard", task="sounds", source={"folder": "yard"}, layout={"kind": "class_folders"})
    project.card("both", task="sounds", union=["esc50", "yard"])
    own, copy = (project.data("raw", *name, listed[0]) for name in (["esc50"], ["both", "esc50"]))

    def fetched(name: str) -> int:
        before = len(server.requests)
        said = invoke(download_stage.main, name)
        assert ("esc50: verified, copied from" in said) == (len(server.requests) == before)
        return len(server.requests) - before

    assert fetched("esc50") == 1 and fetched("both") == 0
    assert own.read_bytes() == copy.read_bytes() == files_of[listed[0]] and not own.samefile(copy)
    assert own.stat().st_nlink == copy.stat().st_nlink == 1, "no link into what DVC may link to its cache"
    assert (project.data("raw", "both", "yard", "dog", "a.wav")).is_file()
    own.write_bytes(bytes(9))
    assert fetched("both") == 1 and copy.read_bytes() == files_of[listed[0]]
    assert fetched("esc50") == 1 and fetched("both") == 0
    checksums.write_text(checksums.read_text() + f"{'0' * 32}  audio/new.wav\n")
    assert "missing: audio/new.wav" in invoke(download_stage.main, "both", code=1)


def test_esc50_lists_its_2000_clips_in_five_folds():
    listed = read_list(PROJECT / "conf" / "cards" / "esc50.md5")
    clips = [name for name in listed if name.startswith("audio/")]
    assert len(clips) == 2000 and "meta/esc50.csv" in listed
    assert {fold: sum(name.startswith(f"audio/{fold}-") for name in clips) for fold in range(1, 6)} == dict.fromkeys(
        range(1, 6), 400
    )


# Datasets for testing alone


def test_a_dataset_for_testing_alone_is_never_trained_on(urban):
    table_card(urban, name="elsewhere", test_only=True)
    shutil.copytree(urban.data("raw", "urban"), urban.data("raw", "elsewhere"))
    invoke(manifest_stage.main, "elsewhere")
    for stage in (split_stage, audit_stage, train_stage, evaluate_stage):
        assert "for testing alone" in invoke(stage.main, "elsewhere")
    for kind, holds in {"splits": 1, "models": 1, "predictions": 1, "history": 0, "metrics": 0}.items():
        found = [path.name for path in urban.data(kind, "elsewhere").iterdir()]
        assert found == ["README.txt"] * holds, "no results, and a note where DVC would warn"
    assert "tested on no other dataset" in invoke(cross_dataset_stage.main, "elsewhere")
    assert "for testing alone" in invoke(noise_stage.main, "elsewhere")
    assert "for testing alone" in invoke(swapped_stage.main, "elsewhere")
    urban.card("urban", task="elsewhere", source={"folder": "."}, layout=LAYOUT)
    assert trained_on(["urban", "elsewhere"]) == ["urban"]
    urban.params(datasets=["urban", "elsewhere"])
    assert dataset_of(compose(["task=elsewhere"])) == "urban"
    assert same_task("elsewhere", urban.params()) == ["urban"]
    with pytest.raises(EarshotError, match="none of task 'elsewhere' besides urban"):
        same_task("urban", urban.params())
    urban.params(datasets=["elsewhere"])
    assert "add one to train on" in invoke(compare_stage.main, code=1)


# Unions


UNION = {"urban": {"classes": {"alarm": ["siren"], "other": "*"}}, "horns": {}}


@pytest.fixture
def towns(urban):
    """The table above, a dataset of two long recordings with the same task, and their union."""
    urban.card(
        "urban",
        task="towns",
        source={"folder": "sounds/urban"},
        layout=LAYOUT,
        known_bad={"audio/fold1/1000-0-0-0.wav": "broken when it was published"},
    )
    shutil.copytree(urban.data("raw", "urban"), urban.root / "sounds" / "urban")
    layout = {"kind": "long_recordings", "recordings": {"alarm": "horn.wav", "other": "street.wav"}}
    urban.card("horns", task="towns", source={"folder": "sounds/horns"}, layout=layout)
    for seed, name in enumerate(layout["recordings"].values()):
        write_audio(urban.root / "sounds" / "horns" / name, noise(60, RATE, 200 + seed), RATE)
    urban.card("both", task="towns", union=UNION)
    params = urban.params(datasets=["both"])
    urban.params(split=params["split"] | {"block_seconds": 10.0, "folds": {"default": 3}})
    return urban


def test_a_union_has_the_recordings_of_its_members_apart_by_their_names(towns):
    assert "horns: 2 files" in invoke(download_stage.main, "both")
    towns.data("raw", "both", "urban", "audio", "fold1", "1000-0-0-0.wav").write_bytes(b"RIFF")
    rows = built(towns, "both")
    assert len(rows) == 20 and rows["fold"].isna().all()
    assert rows.loc["horns/horn.wav", ["label", "group", "recording"]].tolist() == ["alarm", *["horns/horn.wav"] * 2]
    siren = rows.loc["urban/audio/fold2/2002-1-0-0.wav"]
    assert (siren["label"], siren["group"]) == ("alarm", "urban/2002")
    broken = rows.loc["urban/audio/fold1/1000-0-0-0.wav", "reason"]
    assert broken == "does not decode (known: broken when it was published)"
    assert rows["label"].value_counts().to_dict() == {"other": 13, "alarm": 7}


def test_a_union_is_split_by_the_rules_of_its_members(towns):
    towns.params(protocols=["published", "grouped"])
    invoke(download_stage.main, "both")
    said = prepared(towns, "both")
    assert "published folds" not in said
    split = split_of(towns, "both")
    assert (split.groupby(["fold", "group"])["part"].nunique() == 1).all()
    groups = set(split["group"])
    assert {"horns/horn.wav#000", "horns/street.wav#005", "urban/1000"} <= groups
    tested = split[split["part"] == "test"]
    assert tested.groupby("recording").size().to_dict()["horns/horn.wav"] == 6 and len(tested) == 18 + 12
    published = files.read_table(towns.data("splits", "both", "published.parquet"))
    assert set(published["recording"]) == set(manifest.read("both")["recording"]) and published["group"].notna().all()
    assert "grouped: 0.0% of" in invoke(audit_stage.main, "both")


def validated_elsewhere(towns) -> pd.DataFrame:
    """Split the union with a member of it held out in each fold; return the windows' parts with their member."""
    params = towns.params(protocols=["grouped"])
    towns.params(split=params["split"] | {"validation": "elsewhere"})
    invoke(split_stage.main, "both")
    split = split_of(towns, "both")
    return split.assign(member=split["recording"].str.partition("/")[0])


def test_a_union_is_validated_on_a_member_that_its_fold_does_not_train_on(towns):
    invoke(download_stage.main, "both")
    assert "validated" not in prepared(towns, "both")
    within = split_of(towns, "both")
    assert "validated" not in invoke(audit_stage.main, "both")
    split = validated_elsewhere(towns)
    for fold, rows in split.groupby("fold"):
        by_part = {part: set(mine["member"]) for part, mine in rows.groupby("part")}
        assert by_part["validation"] == {["horns", "urban"][fold % 2]} and not by_part["validation"] & by_part["train"]
        assert by_part["test"] == {"horns", "urban"}
        rest = within[(within["fold"] == fold) & (within["part"] != "test")]
        assert len(rows[rows["part"] != "test"]) == len(rest), "what is not tested is trained on or held out"
    assert (split.groupby(["fold", "group"])["part"].nunique() == 1).all()
    tested = [table[table["part"] == "test"].reset_index(drop=True)[within.columns] for table in (split, within)]
    pd.testing.assert_frame_equal(*tested)
    line = (
        "validated elsewhere: each fold's checkpoint is chosen on a dataset it does not train on, horns (fold 0, 2); "
    )
    assert line + "urban (fold 1)" in invoke(split_stage.main, "both")
    assert line in invoke(audit_stage.main, "both")
    found = files.read_json(towns.data("audit", "both.json"))
    assert found["held_out"] == ["horns", "urban", "horns"]
    assert any(line[1:] in told for told in words.why([], None, found))


def test_a_group_that_the_held_out_member_shares_with_another_is_not_trained_on(towns):
    invoke(download_stage.main, "both")
    horn, _ = soundfile.read(towns.data("raw", "both", "horns", "horn.wav"), dtype="float32")
    copy = towns.data("raw", "both", "urban", "audio", "fold2", "2002-1-0-0.wav")
    write_audio(copy, 0.8 * horn[RATE : 4 * RATE], RATE)
    prepared(towns, "both")
    split = validated_elsewhere(towns)
    assert (split.groupby(["fold", "group"])["part"].nunique() == 1).all()
    assert "grouped: 0.0% of" in invoke(audit_stage.main, "both")


def test_a_member_of_one_class_stays_in_training(towns):
    towns.card("both", task="towns", union={"urban": {"classes": {"other": "*"}}, "horns": {}, "more": {}})
    layout = {"kind": "long_recordings", "recordings": {"alarm": "a.wav", "other": "b.wav"}}
    towns.card("more", task="towns", source={"folder": "sounds/more"}, layout=layout)
    for seed, name in enumerate(layout["recordings"].values()):
        write_audio(towns.root / "sounds" / "more" / name, noise(60, RATE, 300 + seed), RATE)
    invoke(download_stage.main, "both")
    prepared(towns, "both")
    split = validated_elsewhere(towns)
    assert set(split.loc[split["part"] == "validation", "member"]) == {"horns", "more"}
    assert (split[split["part"] == "train"].groupby("fold")["member"].unique().map(set) >= {"urban"}).all()


def test_where_no_member_can_be_held_out_is_told(towns):
    towns.card("both", task="towns", union={"urban": {"classes": {"other": "*"}}, "horns": {}})
    invoke(download_stage.main, "both")
    prepared(towns, "both")
    params = towns.params()
    towns.params(split=params["split"] | {"validation": "elsewhere"})
    expected = "no member has two classes while the others together have all (horns has alarm, other; urban has other)"
    assert expected in invoke(split_stage.main, "both", code=1)
    assert "validated within: it is no union" in prepared(towns, "urban")


def test_sound_that_two_members_share_unites_their_groups(towns):
    invoke(download_stage.main, "both")
    horn, _ = soundfile.read(towns.data("raw", "both", "horns", "horn.wav"), dtype="float32")
    copy = towns.data("raw", "both", "urban", "audio", "fold2", "2002-1-0-0.wav")
    write_audio(copy, 0.8 * horn[RATE : 4 * RATE], RATE)
    prepared(towns, "both")
    split = split_of(towns, "both").set_index("recording")
    copied = split.loc[["urban/audio/fold2/2002-1-0-0.wav"], "group"].unique()
    assert set(copied) <= set(split.loc[["horns/horn.wav"], "group"])
    assert "grouped: 0.0% of" in invoke(audit_stage.main, "both")


@pytest.mark.parametrize(
    ("union", "told"),
    [
        (["urban", "horns"], None),
        ({"urban": None, "horns": None}, None),
        (["urban"], "union: .*at least 2"),
        (["urban", "urban"], "union: .*names a dataset twice"),
        (["urban", "garden"], "no dataset is called 'garden'"),
        (["urban", "both"], "union: both is a union itself: name its members"),
        (["urban", "gtzan_artists"], "union: gtzan_artists holds no recordings"),
        (["urban", "elsewhere"], "union: elsewhere is for testing alone"),
        ({"urban": {"classes": {"a": ["sirene"]}}, "horns": {}}, "many.yaml: union.urban.classes names 'sirene'"),
    ],
)
def test_a_fault_of_a_union_is_one_line(union, told, towns):
    towns.card("elsewhere", source={"folder": "."}, layout={"kind": "class_folders"}, test_only=True)
    towns.card("many", task="towns", union=union)
    shutil.rmtree(towns.root / "data" / "raw" / "urban")

    def make():
        download(load_card("many"))
        return built(towns, "many")

    if told is None:
        assert set(make()["label"]) == {"siren", "dog_bark", "drilling", "alarm", "other"}
        return
    with pytest.raises(EarshotError, match=told):
        make()


def test_a_card_is_of_a_source_or_of_a_union(towns):
    towns.card("many", union=["urban", "horns"], source={"folder": "."})
    with pytest.raises(EarshotError, match="needs a source, or a union of other datasets"):
        load_card("many")
    towns.card("many", union=["urban", "horns"], layout=LAYOUT)
    with pytest.raises(EarshotError, match="a union has the layouts of its members: take out layout"):
        load_card("many")


def test_a_class_map_of_a_union_is_of_its_members_classes(towns):
    towns.card("many", task="towns", union=["urban", "horns"], classes={"noise": ["drilling", "other"], "rest": "*"})
    download(load_card("many"))
    assert built(towns, "many")["label"].value_counts().to_dict() == {"rest": 13, "noise": 7}


def test_a_members_card_that_has_changed_is_told(towns):
    invoke(download_stage.main, "both")
    towns.card("urban", task="other", source={"folder": "sounds/urban"}, layout={**LAYOUT, "group": None})
    expected = (
        "the card of urban has changed since both was put together: run `dvc repro --force --single-item download@both`"
    )
    assert expected in invoke(manifest_stage.main, "both", code=1)
    assert expected in invoke(main.main, "repro", code=1)
    invoke(download_stage.main, "both")
    assert len(built(towns, "both")) == 20


def test_models_of_a_union_are_not_tested_on_its_members(towns):
    towns.params(datasets=["both", "horns", "other", "third"])
    layout = {"kind": "long_recordings", "recordings": {"alarm": "horn.wav", "other": "street.wav"}}
    towns.card("other", task="towns", source={"folder": "sounds/other"}, layout=layout)
    for seed, name in enumerate(layout["recordings"].values()):
        write_audio(towns.root / "sounds" / "other" / name, noise(60, RATE, 300 + seed), RATE)
    towns.card("third", task="towns", union=["horns", "other"])
    for name in ("both", "horns", "other", "third"):
        invoke(download_stage.main, name)
        invoke(manifest_stage.main, name)
    params = towns.params()
    assert others("both", params) == ["other"] and others("horns", params) == ["other"]
    assert others("other", params) == ["both", "horns"] and others("third", params) == []
    assert same_task("horns", params) == ["other"] and same_task("other", params) == ["both", "horns"]


# docs/own-recordings.md


@pytest.fixture
def documented(project, monkeypatch):
    """The datasets of docs/own-recordings.md, with recordings where the cards expect them."""
    monkeypatch.setenv("HOME", str(project.root))
    text = (PROJECT / "docs" / "own-recordings.md").read_text()
    blocks = [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)]
    names = re.findall(r"^`conf/cards/(\w+)\.yaml`:$", text, re.MULTILINE)
    cards = dict(zip(names, [block for block in blocks if "citation" in block], strict=True))
    for name, card in cards.items():
        project.card(name, **card)
    top = project.root / "recordings"
    for seed, name in enumerate(f"{bird}/{bird}-{n}.wav" for bird in ("crow", "wren") for n in range(4)):
        write_audio(top / "my_birds" / name, noise(3, RATE, seed), RATE)
    for seed, name in enumerate(cards["my_street"]["layout"]["recordings"].values()):
        write_audio(top / "my_street" / name, noise(90, RATE, 50 + seed), RATE)
    lines = ["file,fold,class,source"]
    for seed, (fold, label, n) in enumerate(product((1, 2, 3), ("siren", "ambulance", "horn"), (0, 1))):
        lines.append(f"{label}-{n}.wav,{fold},{label},{fold}{label}{n}")
        write_audio(top / "my_city" / f"audio/fold{fold}" / f"{label}-{n}.wav", noise(3, RATE, 100 + seed), RATE)
    (top / "my_city" / "recordings.csv").write_text("\n".join(lines))
    params = project.params(protocols=["grouped"])
    project.params(split=params["split"] | {"block_seconds": 10.0, "folds": {"default": 3}})
    return cards, blocks


@pytest.mark.parametrize(
    ("name", "read", "classes"),
    [
        ("my_birds", 8, {"crow", "wren"}),
        ("my_street", 2, {"emergency", "non_emergency"}),
        ("my_city", 18, {"siren", "ambulance", "horn"}),
        ("my_sirens", 20, {"emergency", "non_emergency"}),
    ],
)
def test_each_card_of_the_documents_is_downloaded_read_and_split(name, read, classes, documented, project):
    invoke(download_stage.main, name)
    prepared(project, name)
    found = manifest.read(name)
    assert len(found) == read and set(found["label"]) == classes
    assert split_of(project, name)["fold"].nunique() == 3


def test_the_class_map_of_the_documents_makes_two_classes(documented, project):
    cards, blocks = documented
    (part,) = [block for block in blocks if list(block) == ["classes"]]
    project.card("my_city", **cards["my_city"], **part)
    invoke(download_stage.main, "my_city")
    assert built(project, "my_city")["label"].value_counts().to_dict() == {"emergency": 12, "non_emergency": 6}


def test_short_recordings_may_be_summarised_by_window_as_long_ones_are(urban):
    long = {"kind": "long_recordings", "recordings": {"a": "a.wav", "b": "b.wav"}}
    urban.card("street", task="urban", source={"folder": "."}, layout=long)
    params = urban.params()
    assert not _same_features("summary", load_card("street"), load_card("urban"), params)
    assert _same_features("log_mel", load_card("street"), load_card("urban"), params)
    urban.card("urban", source={"folder": "."}, layout=LAYOUT, by_window=True)
    assert _same_features("summary", load_card("street"), load_card("urban"), params)
    urban.params(protocols=["published", "grouped"], windows={"default": {"length": 1.0, "hop": 0.5}})
    prepared(urban)
    split = files.read_table(urban.data("splits", "urban", "published.parquet"))
    assert len(split[split["part"] != "validation"]) == 18 * 4, "windows at random"
    assert set(split_of(urban)["stop"]) == {2.5}, "the grouped protocol keeps recordings whole"
