"""Archives that try to escape, and some that don't."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import warnings
import zipfile

import pytest

from earshot.datasets.download import unpack as unpacking
from earshot.datasets.download.unpack import UnpackError, unpack

KINDS = ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"]


def make(path, files):
    """Write an archive of `files`, (name, content) pairs, by the ending of its name."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # zipfile warns of doubles
            for name, content in files:
                info = zipfile.ZipInfo("placeholder")
                info.filename = name  # as it is: the constructor would mend it
                archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    else:
        mode = {".tar": "w", ".gz": "w:gz", ".bz2": "w:bz2", ".xz": "w:xz"}[path.suffix]
        with tarfile.open(path, mode) as archive:
            for name, content in files:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path


def names_below(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def guarded(tmp_path):
    """A folder in a folder; nothing may appear beside the target."""
    outer = tmp_path / "outer"
    outer.mkdir()
    yield outer
    assert {path.name for path in outer.iterdir()} <= {"target"}


@pytest.mark.parametrize("kind", KINDS)
def test_wanted_files_are_unpacked_without_leading_folders(kind, tmp_path):
    files = [("top/a/1.wav", b"one"), ("./top/a/2.wav", b"two"), ("top/README", b"no"), ("LICENCE", b"no")]
    archive = make(tmp_path / f"x.{kind}", files)
    target = tmp_path / "target"
    unpack(archive, target, most_bytes=100, strip=1, wanted=lambda name: name.endswith(".wav"))
    assert names_below(target) == ["a/1.wav", "a/2.wav"]
    assert (target / "a" / "2.wav").read_bytes() == b"two"


BAD_NAMES = [
    "/etc/x.wav",
    "../x.wav",
    "a/../../x.wav",
    "a/..",
    "C:/x.wav",
    "C:x.wav",
    "..\\x.wav",
    "a\\x.wav",
    "a\nb.wav",
    "a\x1b[2Jb.wav",
    "a\u202eb.wav",
    "a" * 256,
    "a/" * 500 + "x.wav",
]


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
@pytest.mark.parametrize("name", BAD_NAMES)
def test_name_that_leads_elsewhere_has_the_archive_refused(kind, name, tmp_path, guarded):
    archive = make(tmp_path / f"x.{kind}", [("good.wav", b"good"), (name, b"bad")])
    with pytest.raises(UnpackError):
        # refused even where the bad member isn't wanted
        unpack(archive, guarded / "target", most_bytes=100, wanted=lambda name: name == "good.wav")


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a.wav", "a.wav"),
        ("a.wav", "./a.wav"),
        ("a.wav", "A.WAV"),
        ("caf\u00e9.wav", "cafe\u0301.wav"),
        ("a", "a/b.wav"),
        ("a/b.wav", "a"),
        ("a/1.wav", "A/2.wav"),
    ],
)
def test_two_members_in_one_place_are_refused(kind, first, second, tmp_path, guarded):
    archive = make(tmp_path / f"x.{kind}", [(first, b"1"), (second, b"2")])
    with pytest.raises(UnpackError, match="place"):
        unpack(archive, guarded / "target", most_bytes=100)


@pytest.mark.parametrize(
    "member_type",
    [
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
        tarfile.GNUTYPE_SPARSE,
    ],
)
def test_tar_with_a_link_or_device_is_refused(member_type, tmp_path, guarded):
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("a.wav")
        info.type, info.linkname = member_type, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(UnpackError):
        unpack(path, guarded / "target", most_bytes=100)


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR])
def test_zip_with_a_link_or_device_is_refused(mode, tmp_path, guarded):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("a.wav")
        info.external_attr = (mode | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(UnpackError, match="link or a device"):
        unpack(path, guarded / "target", most_bytes=100)


@pytest.mark.parametrize("kind", KINDS)
def test_more_bytes_than_allowed_are_refused(kind, tmp_path, guarded):
    archive = make(tmp_path / f"x.{kind}", [("a.wav", bytes(60)), ("b.wav", bytes(60))])
    with pytest.raises(UnpackError, match="more than 100 bytes"):
        unpack(archive, guarded / "target", most_bytes=100)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_more_files_than_allowed_are_refused(kind, tmp_path, guarded, monkeypatch):
    monkeypatch.setattr(unpacking, "MOST_MEMBERS", 3)
    archive = make(tmp_path / f"x.{kind}", [(f"{i}.wav", b"") for i in range(4)])
    with pytest.raises(UnpackError, match="3 files"):
        unpack(archive, guarded / "target", most_bytes=100)


def test_zip_that_declares_less_than_it_holds_is_refused(tmp_path, guarded):
    path = make(tmp_path / "x.zip", [("a.wav", bytes(100_000))])
    size = (100_000).to_bytes(4, "little")
    assert path.read_bytes().count(size) == 2
    path.write_bytes(path.read_bytes().replace(size, (10).to_bytes(4, "little")))
    with pytest.raises(UnpackError):
        unpack(path, guarded / "target", most_bytes=100)
    written = [file.stat().st_size for file in guarded.rglob("*.wav")]
    assert sum(written) <= 10


def test_bomb_in_the_headers_of_a_tar_is_refused(tmp_path, guarded, monkeypatch):
    monkeypatch.setattr(unpacking, "TAR_HEADER_BYTES", 100_000)
    path = tmp_path / "x.tar.gz"
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("a.wav"))
        info = tarfile.TarInfo("b.wav")
        info.pax_headers = {"comment": "x" * 1_000_000}
        archive.addfile(info)
    with pytest.raises(UnpackError, match="more bytes than allowed"):
        unpack(path, guarded / "target", most_bytes=100)


@pytest.mark.parametrize("kind", KINDS)
def test_broken_archive_is_told(kind, tmp_path, guarded):
    archive = make(tmp_path / f"x.{kind}", [("a.wav", os.urandom(50_000))])
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnpackError, match="can't be read"):
        unpack(archive, guarded / "target", most_bytes=100_000)


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"PK\x03\x04nonsense", b"\x1f\x8bnonsense"])
def test_file_that_is_no_archive_is_told(content, tmp_path, guarded):
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(UnpackError, match="can't be read as a tar or zip"):
        unpack(tmp_path / "x.zip", guarded / "target", most_bytes=100)


def test_changed_byte_in_a_zip_is_noticed(tmp_path, guarded):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a.wav", b"right")
    path.write_bytes(path.read_bytes().replace(b"right", b"wrong"))
    with pytest.raises(UnpackError, match="CRC"):
        unpack(path, guarded / "target", most_bytes=100)


@pytest.mark.parametrize("kind", ["tar.gz", "tar.bz2", "tar.xz"])
def test_checksum_at_the_end_of_a_compressed_tar_is_read(kind, tmp_path, guarded):
    archive = make(tmp_path / f"x.{kind}", [("a.wav", b"a" * 5000)])
    content = bytearray(archive.read_bytes())
    content[-8] ^= 1
    archive.write_bytes(content)
    with pytest.raises(UnpackError, match="can't be read"):
        unpack(archive, guarded / "target", most_bytes=10000)


def test_target_must_be_new(tmp_path):
    archive = make(tmp_path / "x.zip", [("a.wav", b"a")])
    elsewhere = tmp_path / "cross_dataset"
    elsewhere.mkdir()
    (tmp_path / "target").symlink_to(elsewhere)
    with pytest.raises(FileExistsError):
        unpack(archive, tmp_path / "target", most_bytes=100)
    assert not names_below(elsewhere)
