"""A folder of recordings at an address, such as s3://BUCKET/PREFIX."""

from __future__ import annotations

import hashlib
import json
import shutil

import fsspec
import pytest

from conftest import Project, invoke, noise, write_audio
from earshot.datasets import manifest, place
from earshot.datasets.card import load_card
from earshot.datasets.download import download
from earshot.errors import EarshotError
from earshot.stages import download as download_stage
from earshot.stages import manifest as manifest_stage
from shared_stores import *  # noqa: F403 (its fixtures)

FILES = {"rock/1.wav": b"1", "jazz/2.flac": b"2", "groups.csv": b"filename,group\n", ".hidden/x.wav": b"no"}
ADDRESS = "memory://bucket/genres"


@pytest.fixture
def bucket():
    """A bucket in memory, with recordings below a prefix and another file beside it."""
    system = fsspec.filesystem("memory")
    system.pipe({f"/bucket/genres/{name}": content for name, content in FILES.items()} | {"/bucket/other.wav": b"3"})
    yield system
    system.rm("/bucket", recursive=True)


def card(project: Project, **source) -> None:
    project.card("ours", source=source, layout={"kind": "class_folders"})


def raw(project: Project) -> dict[str, bytes]:
    folder = project.data("raw", "ours")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("ending", ["", "/"])
def test_its_visible_files_are_copied(project, bucket, ending, capsys):
    card(project, folder=ADDRESS + ending)
    download(load_card("ours"))
    assert raw(project) == {name: content for name, content in FILES.items() if not name.startswith(".")}
    assert f"3 files, 1.7e-05 MB, unverified (the card has no checksum), from {ADDRESS}" in capsys.readouterr().out
    assert not project.data("cache", "download", "ours").exists()


def test_a_folder_of_this_machine_may_be_an_address_too(project, tmp_path):
    for name, content in FILES.items():
        (tmp_path / "brought" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "brought" / name).write_bytes(content)
    card(project, folder=f"file://{tmp_path}/brought")
    download(load_card("ours"))
    assert set(raw(project)) == {"rock/1.wav", "jazz/2.flac", "groups.csv"}


def test_it_is_checked_where_there_is_a_list(project, bucket):
    sums = project.root / "conf" / "cards" / "ours.sha256"
    sums.write_text(f"{hashlib.sha256(b'1').hexdigest()}  rock/1.wav\n")
    card(project, folder=ADDRESS, checksums="ours.sha256")
    download(load_card("ours"))
    assert raw(project) == {"rock/1.wav": b"1"}
    sums.write_text(f"{'0' * 64}  rock/1.wav\n")
    with pytest.raises(EarshotError, match=r"wrong bytes .*: rock/1\.wav"):
        download(load_card("ours"))


def test_an_interrupted_copy_goes_on_where_it_was(project, bucket, monkeypatch):
    card(project, folder=ADDRESS)
    get, asked = type(bucket).get_file, []

    def breaking(self, path, *rest, **options):
        asked.append(path)
        if len(asked) == 2:
            raise OSError("the connection broke off")
        return get(self, path, *rest, **options)

    monkeypatch.setattr(type(bucket), "get_file", breaking)
    with pytest.raises(EarshotError, match=r"source\.folder: memory://.*: jazz/2\.flac can't be read: the connection"):
        download(load_card("ours"))
    assert not project.data("raw", "ours").exists()
    download(load_card("ours"))
    assert len(raw(project)) == 3 and len(asked) == len(set(asked)) + 1, "what had arrived is not copied again"


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ("memory://nowhere/genres", "holds no recordings"),
        ("gs://bucket/genres", "install gcsfs"),
        ("nonsense://bucket/genres", "can't be listed: Protocol not known: nonsense"),
    ],
)
def test_fault_of_an_address_is_one_line(project, folder, told):
    card(project, folder=folder)
    with pytest.raises(EarshotError, match=told) as error:
        download(load_card("ours"))
    assert f"ours.yaml: source.folder: {folder}" in str(error.value) and "\n" not in str(error.value)


def test_a_name_that_may_lead_elsewhere_is_refused(project, bucket):
    bucket.pipe("/bucket/genres/rock\\..\\evil.wav", b"3")
    card(project, folder=ADDRESS)
    with pytest.raises(EarshotError, match=r"source\.folder: memory://.* has a backslash"):
        download(load_card("ours"))


def test_s3_is_read(project, bucket_in_s3):
    for name, content in FILES.items():
        bucket_in_s3.pipe(f"bucket/genres/{name}", content)
    bucket_in_s3.pipe("bucket/genres2/4.wav", b"4")
    card(project, folder="s3://bucket/genres")
    download(load_card("ours"))
    assert set(raw(project)) == {"rock/1.wav", "jazz/2.flac", "groups.csv"}
    card(project, folder="s3://bucket/nowhere")
    with pytest.raises(EarshotError, match="holds no recordings"):
        download(load_card("ours"))
    card(project, folder="s3://nobucket/genres")
    with pytest.raises(EarshotError, match=r"source\.folder: s3://nobucket/genres"):
        download(load_card("ours"))


def test_its_recordings_are_judged_as_those_of_a_folder_are(project, bucket, tmp_path, capsys):
    write_audio(tmp_path / "x.wav", noise(0.1, 4000), 4000)
    sound = (tmp_path / "x.wav").read_bytes()
    bucket.pipe({f"/bucket/odd/{name}": sound for name in ("rock/1", "jazz/2.dat", "__MACOSX/rock/1.wav", "._3.wav")})
    card(project, folder="memory://bucket/odd")
    download(load_card("ours"))
    assert set(raw(project)) == {"rock/1", "jazz/2.dat"}, (
        "by content, whatever the suffix; what systems leave is hidden"
    )
    assert "ours: not copied: 2 hidden" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "told"), [("notes.txt", "What is there: 2 .txt"), ("2.dat", "What is there: 1 .dat, 1 .txt")]
)
def test_a_folder_without_recordings_is_told_with_what_is_there(name, told, project, bucket):
    bucket.pipe({f"/bucket/none/{one}": b"no sound" for one in (name, "more.txt")})
    card(project, folder="memory://bucket/none")
    with pytest.raises(EarshotError, match=f"holds no recordings. {told}"):
        download(load_card("ours"))
    assert not project.data("raw", "ours").exists()


@pytest.fixture
def sounds(bucket, tmp_path) -> list[str]:
    """Put recordings of two classes into the bucket; return their names."""
    names = [f"{label}/{number}.wav" for number in range(3) for label in ("horn", "other")]
    for seed, name in enumerate(names):
        sound = write_audio(tmp_path / name, noise(4, 4000, seed), 4000).read_bytes()
        bucket.pipe(f"/bucket/sounds/{name}", sound)
    return names


def again(project: Project, stage, code: int = 0) -> str:
    """Run a stage as a process of its own would."""
    place._there.cache_clear()
    return invoke(stage.main, "ours", code=code)


def test_it_is_read_where_it_is(project, bucket, sounds, monkeypatch):
    card(project, folder="memory://bucket/sounds", copy=False)
    assert "6 files, 0.192 MB, listed, to be read in memory://bucket/sounds" in again(project, download_stage)
    assert set(raw(project)) == {place.LIST, place.MARKS}, "nothing is copied to where DVC would copy it again"
    fetch, asked = type(bucket).get_file, []
    monkeypatch.setattr(type(bucket), "get_file", lambda *args, **more: asked.append(args[1]) or fetch(*args, **more))
    assert "6 files read" in again(project, manifest_stage) and not asked
    shutil.rmtree(project.data("cache", "remote"))
    paths = manifest.paths("ours")
    assert paths["horn/1.wav"].read_bytes() == bucket.cat("/bucket/sounds/horn/1.wav")
    assert asked == ["/bucket/sounds/horn/1.wav"], "what is needed, alone"
    assert "6 files read" in again(project, manifest_stage) and len(asked) == 6
    bucket.pipe("/bucket/sounds/horn/3.wav", bucket.cat("/bucket/sounds/horn/1.wav") + b"more")
    again(project, download_stage)
    assert len(asked) == 7 and len(json.loads(raw(project)[place.LIST])) == 7


def test_a_file_that_has_changed_there_or_is_gone_is_told(project, bucket, sounds):
    card(project, folder="memory://bucket/sounds", copy=False)
    again(project, download_stage)
    bucket.pipe("/bucket/sounds/horn/1.wav", bucket.cat("/bucket/sounds/horn/2.wav"))
    told = again(project, manifest_stage, code=1)
    assert "error: memory://bucket/sounds/horn/1.wav has changed since the folder was listed. Take in" in told
    again(project, download_stage)
    assert "set aside: 1 duplicate bytes" in again(project, manifest_stage, code=1)
    bucket.rm("/bucket/sounds/horn/1.wav")
    assert "memory://bucket/sounds/horn/1.wav is gone since" in again(project, manifest_stage, code=1)
    again(project, download_stage)
    assert "5 files read" in again(project, manifest_stage)


def test_recordings_in_s3_are_read_where_they_are(project, bucket_in_s3, tmp_path):
    for number in range(4):
        sound = write_audio(tmp_path / "x.wav", noise(4, 4000, number), 4000).read_bytes()
        bucket_in_s3.pipe(f"bucket/sounds/{('horn', 'other')[number % 2]}/{number}.wav", sound)
    card(project, folder="s3://bucket/sounds", copy=False)
    again(project, download_stage)
    assert "4 files read" in again(project, manifest_stage)
    bucket_in_s3.pipe("bucket/sounds/horn/0.wav", b"RIFF")
    assert "error: s3://bucket/sounds/horn/0.wav has changed since" in again(project, manifest_stage, code=1)
    card(project, folder="s3://nobucket/sounds", copy=False)
    assert "source.folder: s3://nobucket/sounds can't be listed" in again(project, download_stage, code=1)
