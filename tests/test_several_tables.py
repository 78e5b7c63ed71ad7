"""Several tables of a dataset, groups in another, and a published split in parts; several archives."""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
import zipfile

import pandas as pd
import pytest
import yaml

from archives import split_zip
from conftest import PROJECT, invoke, noise, write_audio
from earshot import files
from earshot.datasets import manifest
from earshot.datasets.card import load_card
from earshot.datasets.download import download
from earshot.datasets.listing import recordings_of
from earshot.errors import EarshotError
from earshot.splits import published_folds
from earshot.stages import fingerprint as fingerprint_stage
from earshot.stages import manifest as manifest_stage
from earshot.stages import split as split_stage

RATE = 4000
ROWS = [
    (f"{label}{number}", label, ("train", "train", "train", "val", "eval")[number % 5])
    for label in ("crow", "wren")
    for number in range(10)
]


def documented(key: str) -> dict:
    """Return the block of docs/own-recordings.md with a key."""
    text = (PROJECT / "docs" / "own-recordings.md").read_text()
    (block,) = [block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if f"\n  {key}:" in block]
    return yaml.safe_load(block)


def tables(rows=ROWS) -> dict[str, str]:
    dev = "\n".join(["id,label,split", *(",".join(row) for row in rows if row[2] != "eval")])
    evaluation = "\n".join(["id,label", *(",".join(row[:2]) for row in rows if row[2] == "eval")])
    who = "\n".join(["id,uploader", *(f"{name},of {name}" for name, *_ in rows)])
    return {"dev.csv": dev, "eval.csv": evaluation, "who.csv": who}


@pytest.fixture
def birds(project):
    """The layout of the documents, with ten recordings of each of two classes."""
    project.card("birds", source={"folder": "."}, **documented("tables"))
    for seed, (name, _, part) in enumerate(ROWS):
        folder = "eval" if part == "eval" else "dev"
        write_audio(project.data("raw", "birds", folder, f"{name}.wav"), noise(2.5, RATE, seed), RATE)
    write(project, tables())
    params = project.params(datasets=["birds"], protocols=["grouped"])
    project.params(split=params["split"] | {"folds": {"default": 3}})
    return project


def write(project, content: dict[str, str]) -> None:
    for name, text in content.items():
        project.data("raw", "birds", name).write_text(text + "\n")


def card(project, **changes) -> None:
    project.card("birds", source={"folder": "."}, layout=documented("tables")["layout"] | changes)


def split(project) -> tuple[str, pd.DataFrame]:
    for stage in (manifest_stage, fingerprint_stage):
        invoke(stage.main, "birds")
    said = invoke(split_stage.main, "birds")
    return said, files.read_table(project.data("splits", "birds", "grouped.parquet"))


def rows_of(project) -> pd.DataFrame:
    return pd.DataFrame(recordings_of(load_card("birds"), project.data("raw", "birds"))).set_index("path")


def test_the_layout_of_the_documents_tests_on_the_published_part(birds):
    said, table = split(birds)
    assert "published folds: used; no group on two sides of the test; 0" not in said
    assert "published folds: used; no group on two sides; split.folds" in said
    parts = table.groupby("part")["recording"].agg(set).to_dict()
    assert {part: len(names) for part, names in parts.items()} == {"train": 12, "validation": 4, "test": 4}
    assert all(name.startswith("eval/") for name in parts["test"])
    rows = manifest.read("birds").set_index("recording")
    assert (rows["group"] == "of " + rows.index.str.extract(r"/(\w+)\.", expand=False)).all()


def test_without_a_part_for_validation_a_share_of_training_is_taken_by_groups(birds):
    card(birds, parts={"train": ["train", "val"], "test": "eval"})
    who = "\n".join(
        ["id,uploader", *(f"{name},{name[:4]}{int(name[4]) // 2}{part == 'eval'}" for name, _, part in ROWS)]
    )
    write(birds, {"who.csv": who})
    said, table = split(birds)
    assert "published folds: used" in said
    assert set(table["part"]) == {"train", "validation", "test"} and set(table["fold"]) == {0}
    assert (table.groupby("group")["part"].nunique() == 1).all()


def test_a_group_in_test_and_another_part_has_folds_made(birds):
    write(birds, {"who.csv": tables()["who.csv"].replace("of crow4", "of crow0")})
    said, table = split(birds)
    assert "published folds: not used; group of crow0 is in folds test and train" in said
    assert set(table["fold"]) == {0, 1, 2}


@pytest.mark.parametrize(
    ("folds", "is_one"),
    [
        (["train", "test"], True),
        (["train", "validation", "test", None], True),
        (["train", "validation"], False),
        (["1", "test", "train"], False),
        (["1", "2"], False),
    ],
)
def test_only_folds_of_these_names_are_one_split(folds, is_one):
    assert published_folds.is_split(pd.Series(folds)) is is_one


def test_what_is_in_no_table_and_what_is_missing_are_told_for_all_tables(birds):
    raw = birds.data("raw", "birds")
    write_audio(raw / "eval" / "more.wav", noise(2.5, RATE, 99), RATE)
    (raw / "dev" / "crow0.wav").unlink()
    rows = rows_of(birds)
    assert len(rows) == 21
    assert tuple(rows.loc["eval/more.wav", ["status", "reason"]]) == ("left out", "not in dev.csv or eval.csv")
    assert rows.loc["dev/crow0.wav", "reason"] == "missing"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"eval.csv": "id,label,split\ncrow4,crow,eval"}, r"eval\.csv has a column split: take it out of its values"),
        (
            {"dev.csv": "id,label,split\ncrow0,crow,dev"},
            r"dev\.csv, line 2: split is 'dev', and layout\.parts names .*train",
        ),
        ({"dev.csv": "id,label\ncrow0,crow"}, r"dev\.csv has no column split"),
        ({"eval.csv": "id,label\ncrow0,crow"}, r"none of the files that .*eval\.csv lists is there; by layout\.path"),
        ({"who.csv": "id,uploader\nnobody,me"}, r"who\.csv: id names none of the recordings"),
    ],
)
def test_fault_of_a_table_is_one_line(content, told, birds):
    write(birds, content)
    with pytest.raises(EarshotError, match=told) as error:
        rows_of(birds)
    assert "\n" not in str(error.value)


def test_two_tables_that_contradict_each_other_are_told(birds):
    card(birds, tables=[{"file": "dev.csv"}, {"file": "eval.csv", "values": {"split": "eval"}}], path="all/{id}.wav")
    for seed, (name, *_) in enumerate(ROWS):
        write_audio(birds.data("raw", "birds", "all", f"{name}.wav"), noise(2.5, RATE, seed), RATE)
    assert len(rows_of(birds)) == 20
    write(birds, {"eval.csv": "id,label\ncrow0,wren"})
    with pytest.raises(
        EarshotError, match=r"eval\.csv, line 2: all/crow0\.wav has a row already, line 2 of .*dev\.csv"
    ):
        rows_of(birds)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"file": "a.csv"}, "layout: needs file, or tables where there are several; has both"),
        ({"tables": None}, "layout: needs file, or tables where there are several; has none"),
        ({"tables": [{"file": "a.csv"}]}, "layout: path is missing"),
        ({"group": "x"}, "layout: groups names another table: take out group"),
        ({"parts": {"train": "a"}}, "layout: parts needs train and test"),
        ({"fold": None}, "layout: parts needs train and test, and fold"),
        ({"parts": {"train": ["a", "b"], "test": "b"}}, "layout.parts: 'b' is named twice"),
        ({"parts": {"train": "a", "exam": "b"}}, "layout.parts.exam"),
        ({"tables": [{"file": "a.csv", "path": "x.wav"}]}, "layout.tables.0.path: names no column"),
    ],
)
def test_fault_of_the_card_names_the_key(changes, told, project):
    card(project, **changes)
    with pytest.raises(EarshotError, match=f"birds.yaml: {told}"):
        load_card("birds")


# Archives


def test_the_archives_of_the_documents_are_unpacked_into_one_folder(birds, server):
    raw, source = birds.data("raw", "birds"), documented("archives")["source"]
    audio, table = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(audio, "w") as archive:
        for path in raw.glob("*/*.wav"):
            archive.write(path, path.relative_to(raw))
    with tarfile.open(fileobj=table, mode="w:gz") as archive:
        for path in raw.glob("*.csv"):
            archive.add(path, path.name)
    first, last = split_zip(audio.getvalue(), len(audio.getvalue()) * 2 // 3)
    server.files = {"tables.tar.gz": table.getvalue(), "audio.z01": first, "audio.zip": last}
    for file in (source["archives"][0], *source["archives"][1]["parts"]):
        file["urls"] = [url.replace("https://example.org", server.address) for url in file["urls"]]
        file["md5"] = hashlib.md5(server.files[file["path"]]).hexdigest()
    birds.card("birds", source=source, **documented("tables"))
    expected = {path.relative_to(raw): path.read_bytes() for path in raw.rglob("*") if path.is_file()}
    download(load_card("birds"))
    assert {path.relative_to(raw): path.read_bytes() for path in raw.rglob("*") if path.is_file()} == expected


ONE = {"path": "a.zip", "max_unpacked_bytes": 9, "urls": ["https://example.org/a.zip"]}
PARTS = [{"path": "a.z01", "urls": ["https://example.org/a.z01"]}, {"path": "a.zip", "urls": []}]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({"archives": [ONE], "archive": ONE}, "source: needs one of .* has .'archive', 'archives'"),
        ({"archives": [ONE, ONE]}, "source: names a.zip twice"),
        ({"archives": [ONE], "checksums": "a.sha256"}, "source: checksums are for .* give each of archives its sha256"),
        (
            {"archive": ONE | {"parts": PARTS}},
            "source.archive: an archive in parts is not downloaded as a whole: .* urls",
        ),
        ({"archive": {"path": "a", "max_unpacked_bytes": 9, "parts": PARTS[:1]}}, "source.archive.parts"),
    ],
)
def test_fault_of_archives_names_the_key(source, told, project):
    project.card("birds", source=source, layout={"kind": "class_folders"})
    with pytest.raises(EarshotError, match=f"birds.yaml: {told}"):
        load_card("birds")
