"""FSD50K's card on a small fake of what is published: split zips, two tables, uploaders, a published split."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile

import pandas as pd
import pytest
import soundfile
import yaml

from archives import split_zip
from conftest import invoke, tone
from earshot import files
from earshot.datasets import fsd50k_clips, manifest
from earshot.datasets.card import load_card
from earshot.datasets.download import download
from earshot.errors import EarshotError
from earshot.stages import audit as audit_stage
from earshot.stages import download as download_stage
from earshot.stages import evaluate as evaluate_stage
from earshot.stages import features as features_stage
from earshot.stages import fingerprint as fingerprint_stage
from earshot.stages import manifest as manifest_stage
from earshot.stages import split as split_stage
from earshot.stages import train as train_stage
from servers import Reply
from tiny import FEATURES, RATE

PITCH = {"Electric_guitar,Guitar,Music": 300, "Speech,Human_voice": 900, "Bark,Dog,Animal": 1500}
PARTS = {"train": 12, "val": 6, "eval": 6}
CLIPS = [(1000 + 7 * number, part) for part, count in PARTS.items() for number in range(count)]
CLIPS = [(fname + 100 * list(PARTS).index(part), part) for fname, part in CLIPS]


def zipped(content: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return stream.getvalue()


def wav(pitch: float, seed: int) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, tone(pitch, 2.5, RATE, seed), RATE, format="wav")
    return stream.getvalue()


def published(uploaders: dict[int, str] | None = None) -> dict[str, bytes]:
    """Return the files on Zenodo by name, of a small FSD50K; `uploaders` of clips, by default one for each."""
    audio, tables, info = {"dev": {}, "eval": {}}, {"dev": ["fname,labels,mids,split"], "eval": []}, {}
    tables["eval"] = ["fname,labels,mids"]
    for number, (fname, part) in enumerate(CLIPS):
        labels, pitch = list(PITCH.items())[number % 3]
        which = "eval" if part == "eval" else "dev"
        audio[which][f"FSD50K.{which}_audio/{fname}.wav"] = wav(pitch, number)
        tables[which].append(f'{fname},"{labels}","/m/1,/m/2"' + (f",{part}" if which == "dev" else ""))
        clip = {"title": "a", "tags": ["b"], "license": "http://creativecommons.org/licenses/by/3.0/"}
        info.setdefault(which, {})[fname] = clip | {"uploader": (uploaders or {}).get(fname, f"{part}{number}")}
    truth = {f"FSD50K.ground_truth/{which}.csv": "\n".join(rows).encode() for which, rows in tables.items()}
    about = {f"FSD50K.metadata/{w}_clips_info_FSD50K.json": json.dumps(clips).encode() for w, clips in info.items()}
    about["FSD50K.metadata/collection/collection_dev.csv"] = b"fname,labels,mids\n"
    parts = {"dev": split_zip(zipped(audio["dev"]), 70_000), "eval": split_zip(zipped(audio["eval"]), 90_000)}
    names = {"dev": ["z01", "z02", "z03", "z04", "z05", "zip"], "eval": ["z01", "zip"]}
    return {
        **{f"FSD50K.{w}_audio.{n}": part for w in parts for n, part in zip(names[w], parts[w], strict=True)},
        "FSD50K.ground_truth.zip": zipped(truth),
        "FSD50K.metadata.zip": zipped(about),
        "FSD50K.doc.zip": zipped({"FSD50K.doc/LICENSE-DATASET": b"CC BY", "FSD50K.doc/README.md": b"Read me"}),
    }


def serve(project, server, content: dict[str, bytes]) -> None:
    """Serve what is published, and have the shipped card take it from there; all else in it stays as it is."""
    path = project.root / "conf" / "cards" / "fsd50k.yaml"
    card = yaml.safe_load(path.read_text())
    server.files |= content
    for archive in card["source"]["archives"]:
        for file in archive.get("parts", [archive]):
            assert file["urls"][0].endswith(f"/4060432/files/{file['path']}?download=1")
            file["urls"] = [f"{server.address}/{file['path']}"]
            file["md5"] = hashlib.md5(content[file["path"]]).hexdigest()
    path.write_text(yaml.safe_dump(card, sort_keys=False))
    params = project.params()
    project.params(
        datasets=["fsd50k"],
        protocols=["grouped"],
        seeds=[0],
        audio={"sample_rate": RATE},
        experiments={"over_time": {"inputs": ["log_mel"], "models": ["cnn"]}},
        features=params["features"] | {"log_mel": params["features"]["log_mel"] | FEATURES["log_mel"]},
    )


def split(project) -> str:
    for stage in (manifest_stage, fingerprint_stage):
        invoke(stage.main, "fsd50k")
    return invoke(split_stage.main, "fsd50k")


@pytest.mark.process
def test_fsd50k_as_it_is_published(project, server):
    both = {1000: "somebody", 1100: "somebody"}  # of training and validation
    serve(project, server, published(both))
    said = invoke(download_stage.main, "fsd50k")
    assert "fsd50k: 29 files" in said and "verified, from" in said
    raw = project.data("raw", "fsd50k")
    clips = pd.read_csv(raw / "FSD50K.metadata" / "clips.csv")
    assert len(clips) == 24 and list(clips) == ["fname", "uploader", "license"] and (raw / "FSD50K.doc").is_dir()
    said = split(project)
    assert "published folds: used; no group on two sides of the test; 1 group is in train and validation" in said
    rows = manifest.read("fsd50k").set_index("path")
    assert rows["fold"].value_counts().to_dict() == {"train": 12, "validation": 6, "test": 6}
    row = rows.loc["FSD50K.eval_audio/1200.wav"]
    assert (row["label"], row["group"]) == ('["Electric_guitar", "Guitar", "Music"]', "eval18")
    table = files.read_table(project.data("splits", "fsd50k", "grouped.parquet"))
    found = table.groupby("part")["recording"].nunique().to_dict()
    assert found == {"train": 12, "validation": 6, "test": 6} and set(table["fold"]) == {0}
    assert set(table.loc[table["part"] == "test", "recording"].str.split("/").str[0]) == {"FSD50K.eval_audio"}
    assert "published folds: used" in invoke(audit_stage.main, "fsd50k")
    model = project.root / "conf" / "model" / "cnn.yaml"
    model.write_text(model.read_text().replace("max_epochs: 10", "max_epochs: 2"))
    for stage in (features_stage, train_stage, evaluate_stage):
        invoke(stage.main, "fsd50k", "--workers", "1")
    scores = json.loads(project.data("metrics", "fsd50k", "log_mel-cnn.json").read_text())["grouped"]["as_coded"]
    assert 0 < scores["macro_ap"] <= 1


def test_an_uploader_in_training_and_test_has_other_folds_made(project, server):
    serve(project, server, published({1000: "somebody", 1200: "somebody"}))
    project.params(split=project.params()["split"] | {"folds": {"default": 2}})
    download(load_card("fsd50k"))
    assert "published folds: not used; group somebody is in folds test and train" in split(project)
    table = files.read_table(project.data("splits", "fsd50k", "grouped.parquet"))
    assert set(table["fold"]) == {0, 1} and (table.groupby(["fold", "group"])["part"].nunique() == 1).all()


def test_a_download_goes_on_part_by_part(project, server):
    content = published()
    serve(project, server, content)
    server.replies["FSD50K.dev_audio.z03"] = [Reply(status=403)]
    with pytest.raises(EarshotError, match=r"dev_audio\.z03: 403"):
        download(load_card("fsd50k"))
    assert not project.data("raw", "fsd50k").exists()
    download(load_card("fsd50k"))
    asked = [path for path, _ in server.requests]
    assert {path: asked.count(path) for path in content} == dict.fromkeys(content, 1) | {"FSD50K.dev_audio.z03": 2}


def test_a_part_with_other_bytes_is_told_by_name(project, server):
    content = published()
    serve(project, server, content)
    server.files["FSD50K.eval_audio.z01"] = content["FSD50K.eval_audio.z01"][:-1] + b"x"
    with pytest.raises(EarshotError, match=r"eval_audio\.z01: wrong bytes: MD5 is"):
        download(load_card("fsd50k"))


def test_parts_in_another_order_and_two_archives_with_the_same_file_are_told(project, server):
    serve(project, server, published())
    path = project.root / "conf" / "cards" / "fsd50k.yaml"
    card = yaml.safe_load(path.read_text())
    card["source"]["archives"][0]["parts"].reverse()
    path.write_text(yaml.safe_dump(card))
    with pytest.raises(EarshotError, match=r"FSD50K\.dev_audio\.zip: can't be read .* in their order\?"):
        download(load_card("fsd50k"))
    again = card["source"]["archives"][-1] | {"path": "again.zip"}
    path.write_text(yaml.safe_dump(card | {"source": {"archives": [again, card["source"]["archives"][-1]]}}))
    with pytest.raises(EarshotError, match=r"'FSD50K\.doc/LICENSE-DATASET': the place of .* is taken"):
        download(load_card("fsd50k"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "dev_clips_info_FSD50K.json is missing"),
        (b"[]", "expected a mapping"),
        (b'{"1": 2}', "for clip"),
        (b"{", "Expecting"),
    ],
)
def test_other_metadata_is_told(content, told, tmp_path):
    folder = tmp_path / "FSD50K.metadata"
    folder.mkdir()
    if content:
        (folder / "dev_clips_info_FSD50K.json").write_bytes(content)
    with pytest.raises(ValueError, match=told):
        fsd50k_clips.convert(tmp_path, tmp_path / "out")
