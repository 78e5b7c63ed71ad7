"""A folder whose recordings are read where they are."""

from __future__ import annotations

import hashlib
import shutil

import pytest

from conftest import Project, invoke, tone, write_audio
from earshot import files
from earshot.cli import main
from earshot.datasets import manifest, place
from earshot.datasets.card import load_card
from earshot.errors import EarshotError
from earshot.stages import audit as audit_stage
from earshot.stages import download as download_stage
from earshot.stages import features as features_stage
from earshot.stages import fingerprint as fingerprint_stage
from earshot.stages import manifest as manifest_stage
from earshot.stages import split as split_stage

RATE = 4000
NAMES = ["horn/horn_0.wav", "other/other_1.wav"]
AGAIN = "dvc repro --force --single-item download@horns"


@pytest.fixture
def collection(project: Project, tmp_path):
    """Recordings outside the project's data, and a card that has them read there."""
    folder = tmp_path / "collection"
    for number in range(12):
        label = ("horn", "other")[number % 2]
        sound = tone({"horn": 900, "other": 300}[label], 4, RATE, seed=number)
        write_audio(folder / label / f"{label}_{number}.wav", sound, RATE)
    write_audio(folder / ".trash" / "old.wav", tone(900, 4, RATE), RATE)
    table = [f"{path.name},{path.stem}" for path in sorted(folder.glob("*/*.wav"))]
    (folder / "who.csv").write_text("\n".join(["filename,group", *table]) + "\n")
    params = project.params(audio={"sample_rate": RATE})
    params["features"]["log_mel"] |= {"n_mels": 16, "n_fft": 256, "hop_length": 80}
    project.params(features=params["features"], datasets=["horns"])
    card(project, {"folder": "collection", "copy": False})
    return folder


def card(project: Project, source: dict, **more) -> None:
    layout = {"kind": "class_folders", "groups": {"file": "who.csv"}}
    project.card("horns", task="horns", source=source, layout=layout, **more)


STAGES = [manifest_stage, fingerprint_stage, split_stage, audit_stage]


def through(project: Project) -> dict[str, list]:
    """Run the stages before training; return what they made."""
    for stage in (download_stage, *STAGES):
        invoke(stage.main, "horns")
    invoke(features_stage.main, "horns", "log_mel", "--workers", "1")
    made = ["manifest/horns", "fingerprint/horns/duplicates", "splits/horns/grouped"]
    paths = [*(f"{name}.parquet" for name in made), "features/horns/log_mel"]
    return {name: files.read_table(project.data(name)).to_dict("list") for name in paths}


@pytest.mark.process
def test_the_same_comes_of_it_as_of_a_copy(project, collection):
    in_place = through(project)
    raw = project.data("raw", "horns")
    assert [path.name for path in raw.iterdir()] == [place.LIST], "nothing is copied"
    listed = files.read_json(raw / place.LIST)
    assert len(listed) == 13 and not any(name.startswith(".") for name in listed)
    for name, sha256 in listed.items():
        assert hashlib.sha256((collection / name).read_bytes()).hexdigest() == sha256
    paths = manifest.paths("horns")
    assert paths["horn/horn_0.wav"] == collection / "horn" / "horn_0.wav" and len(paths) == 12
    for kind in ("manifest", "fingerprint", "splits", "features", "cache"):
        shutil.rmtree(project.data(kind))
    card(project, {"folder": "collection"})
    copied = through(project)
    assert str(in_place) == str(copied)


def test_the_list_is_read_once_for_all_recordings_and_again_when_it_changes(project, collection, monkeypatch):
    for stage in (download_stage, manifest_stage):
        invoke(stage.main, "horns")
    reads, path = [], project.data("raw", "horns", place.LIST)
    place._read.cache_clear()
    monkeypatch.setattr(place, "read_json", lambda path: reads.append(path) or files.read_json(path))
    assert len({*manifest.paths("horns").values()}) == 12 and len(reads) == 1
    files.write_json(path, files.read_json(path) | {"horn/horn_0.wav": "0"})
    with pytest.raises(EarshotError, match="has changed since"):
        manifest.paths("horns")["horn/horn_0.wav"]


@pytest.mark.process
def test_a_changed_recording_is_told_wherever_it_is_read(project, collection):
    through(project)
    changed = collection / "horn" / "horn_0.wav"
    content = bytearray(changed.read_bytes())
    content[-1] ^= 1
    changed.write_bytes(content)
    shutil.rmtree(project.data("cache", "features"))
    for stage, *more in (
        (manifest_stage.main,),
        (fingerprint_stage.main,),
        (features_stage.main, "log_mel"),
    ):
        told = invoke(stage, "horns", *more, code=1)
        assert f"{changed} has changed since the folder was listed" in told and AGAIN in told
    with pytest.raises(EarshotError, match="has changed since"):
        manifest.paths("horns")["horn/horn_0.wav"]
    assert manifest.paths("horns")["horn/horn_2.wav"].is_file()
    assert "has changed since" in invoke(main.main, "explore", "horns", code=1)
    invoke(download_stage.main, "horns")
    invoke(manifest_stage.main, "horns")
    invoke(features_stage.main, "horns", "log_mel", "--workers", "1")


@pytest.mark.process
def test_what_is_in_the_cache_is_not_read_again(project, collection):
    through(project)
    (collection / "horn" / "horn_0.wav").write_bytes(b"changed")
    invoke(features_stage.main, "horns", "log_mel", "--workers", "1")


def test_a_changed_table_is_told(project, collection):
    for stage in (download_stage, manifest_stage, fingerprint_stage):
        invoke(stage.main, "horns")
    (collection / "who.csv").write_text("filename,group\nhorn_0.wav,0\n")
    told = invoke(split_stage.main, "horns", code=1)
    assert "who.csv has changed since" in told and AGAIN in told


def test_gone_and_new_recordings_are_told(project, collection):
    invoke(download_stage.main, "horns")
    write_audio(collection / "horn" / "new.wav", tone(900, 4, RATE, seed=9), RATE)
    told = invoke(manifest_stage.main, "horns")
    assert "1 files in" in told and "are new since" in told and AGAIN in told and "12 files read" in told
    assert len(manifest.read("horns")) == 12
    (collection / "horn" / "horn_0.wav").unlink()
    told = invoke(manifest_stage.main, "horns", code=1)
    assert "horn_0.wav is gone since" in told and AGAIN in told


def test_a_drive_that_is_not_there_is_told(project, collection):
    invoke(download_stage.main, "horns")
    collection.rename(collection.with_name("elsewhere"))
    told = invoke(manifest_stage.main, "horns", code=1)
    assert f"{collection} is not a folder" in told and "Is its drive mounted?" in told


def test_without_its_list_it_says_what_to_run(project, collection):
    told = invoke(manifest_stage.main, "horns", code=1)
    assert f"{place.LIST} is missing" in told and AGAIN in told


def test_checksums_of_the_card_are_held(project, collection):
    listed = {path: hashlib.sha256((collection / path).read_bytes()).hexdigest() for path in NAMES}
    lines = "".join(f"{sha256}  {name}\n" for name, sha256 in listed.items())
    (project.root / "conf" / "cards" / "horns.sha256").write_text(lines)
    card(project, {"folder": "collection", "copy": False, "checksums": "horns.sha256"})
    invoke(download_stage.main, "horns")
    assert files.read_json(project.data("raw", "horns", place.LIST)) == listed
    (collection / "horn" / "horn_0.wav").write_bytes(b"changed")
    assert "wrong bytes" in invoke(download_stage.main, "horns", code=1)
    (collection / "horn" / "horn_0.wav").unlink()
    assert "missing: horn/horn_0.wav" in invoke(download_stage.main, "horns", code=1)


@pytest.mark.parametrize(
    ("source", "more", "told"),
    [
        ({"checksums": "horns.sha256", "copy": False}, {}, "copy: false is for a folder"),
        ({"folder": "collection", "copy": False}, {"needs": "who"}, "source.copy is false"),
        ({"folder": "collection", "copy": "perhaps"}, {}, "source.copy: "),
    ],
)
def test_fault_of_a_card_is_told(source, more, told, project):
    card(project, source, **more)
    with pytest.raises(EarshotError, match=told):
        load_card("horns")
