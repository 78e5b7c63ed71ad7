"""A folder of recordings at an address, such as s3://BUCKET/PREFIX."""

from __future__ import annotations

import hashlib

import fsspec
import pytest
from moto.server import ThreadedMotoServer

from conftest import Project, noise, write_audio
from earshot.datasets.card import load_card
from earshot.datasets.download import download
from earshot.errors import EarshotError

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


def test_s3_is_read(project, monkeypatch):
    for name, value in {"ACCESS_KEY_ID": "me", "SECRET_ACCESS_KEY": "secret", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    server = ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    try:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*server.get_host_and_port()))
        system = fsspec.filesystem("s3", skip_instance_cache=True)
        system.mkdir("bucket")
        for name, content in FILES.items():
            system.pipe(f"bucket/genres/{name}", content)
        system.pipe("bucket/genres2/4.wav", b"4")
        card(project, folder="s3://bucket/genres")
        download(load_card("ours"))
        assert set(raw(project)) == {"rock/1.wav", "jazz/2.flac", "groups.csv"}
        card(project, folder="s3://bucket/nowhere")
        with pytest.raises(EarshotError, match="holds no recordings"):
            download(load_card("ours"))
        card(project, folder="s3://nobucket/genres")
        with pytest.raises(EarshotError, match=r"source\.folder: s3://nobucket/genres"):
            download(load_card("ours"))
    finally:
        server.stop()


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


def test_it_can_not_be_read_in_place(project):
    card(project, folder=ADDRESS, copy=False)
    with pytest.raises(EarshotError, match="copy: false is for a folder of this machine"):
        load_card("ours")
