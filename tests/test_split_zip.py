"""Archives in parts: cut by `zip -s`, or anywhere."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
import tarfile
import zipfile

import pytest

from archives import split_zip
from conftest import noise
from earshot.datasets.download.unpack import UnpackError, unpack

FILES = {f"clips/{number}.wav": noise(0.05, 4000, number).tobytes() for number in range(6)} | {"empty.txt": b""}
MOST = 10**6


def zipped(files=FILES, method=zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def tarred() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in FILES.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def cut(packed: bytes, size: int) -> list[bytes]:
    return [packed[at : at + size] for at in range(0, len(packed), size)]


def unpacked(tmp_path, parts: list[bytes], most_bytes: int = MOST) -> dict[str, bytes]:
    """Return the files in an archive's parts."""
    paths, target = [tmp_path / f"x.z{number:02}" for number in range(len(parts))], tmp_path / "target"
    for path, part in zip(paths, parts, strict=True):
        path.write_bytes(part)
    shutil.rmtree(target, ignore_errors=True)
    unpack(paths, target, most_bytes=most_bytes)
    found = (path for path in target.rglob("*") if path.is_file())
    return {path.relative_to(target).as_posix(): path.read_bytes() for path in found}


@pytest.mark.parametrize("zip64", [False, True])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("size", [40, 777, 5000])
def test_a_split_zip_is_unpacked(size, method, zip64, tmp_path):
    parts = split_zip(zipped(method=method), size, zip64)
    assert len(parts) > 1 and unpacked(tmp_path, parts) == FILES


@pytest.mark.skipif(not shutil.which("zip"), reason="needs Info-ZIP's zip")
@pytest.mark.parametrize("options", [[], ["-fz"], ["-0"]])  # -fz: zip64
def test_what_zip_itself_splits_is_unpacked(options, tmp_path):
    files = {f"clips/{number}.wav": noise(4, 4000, number).tobytes() for number in range(6)}
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    subprocess.run(["zip", "-q", "-r", "-s", "64k", *options, "all.zip", "clips"], cwd=tmp_path, check=True)
    parts = [path.read_bytes() for path in (*sorted(tmp_path.glob("all.z0*")), tmp_path / "all.zip")]
    assert len(parts) > 3 and unpacked(tmp_path, parts) == files


@pytest.mark.parametrize("packed", [zipped(), tarred()], ids=["zip", "tar"])
def test_an_archive_that_was_cut_anywhere_is_unpacked(packed, tmp_path):
    assert unpacked(tmp_path, cut(packed, 500)) == FILES


def other() -> list[bytes]:
    return split_zip(zipped({name: content[::-1] for name, content in FILES.items()} | {"more": b"x" * 99}), 900)


@pytest.mark.parametrize("zip64", [False, True])
@pytest.mark.parametrize(
    ("choose", "told"),
    [
        (lambda parts: parts[1:], "it is the last of . parts, and there are"),
        (lambda parts: parts[:1] + parts[2:], "it is the last of . parts, and there are"),
        (lambda parts: parts[-1:], "it is the last of . parts, and there is 1"),
        (lambda parts: parts[:-1], "the last part does not end as a zip does"),
        (lambda parts: [parts[-1], *parts[:-1]], "in their order"),
        (lambda parts: [parts[1], parts[0], *parts[2:]], "is not where it is said to be, at byte .* of part"),
        (lambda parts: [other()[0][::-1], *parts[1:]], "is not where it is said to be, at byte 4 of part 1"),
        (lambda parts: [parts[0][:100], *parts[1:]], "said to be"),
        (lambda parts: [*parts[:-1], parts[-1][:-30]], "the last part does not end as a zip does"),
    ],
)
def test_fault_of_parts_is_one_line(choose, told, zip64, tmp_path):
    with pytest.raises(UnpackError, match=told) as error:
        unpacked(tmp_path, choose(split_zip(zipped(), 900, zip64)))
    assert "\n" not in str(error.value)


def test_fault_of_a_member_with_a_line_end_in_its_name_is_one_line(tmp_path):
    first, *others = split_zip(zipped({"a\nb": bytes(range(256)) * 9}), 200)
    with pytest.raises(UnpackError, match=r"'a\\nb' is not where it is said to be") as error:
        unpacked(tmp_path, [first[::-1], *others])
    assert "\n" not in str(error.value)


def test_a_part_of_another_archive_with_members_in_the_same_places_is_noticed(tmp_path):
    changed = split_zip(zipped({name: content[::-1] for name, content in FILES.items()}, zipfile.ZIP_STORED), 900)
    parts = split_zip(zipped(method=zipfile.ZIP_STORED), 900)
    with pytest.raises(UnpackError, match="CRC"):
        unpacked(tmp_path, [parts[0], changed[1], *parts[2:]])


def test_members_that_overlap_are_refused(tmp_path):
    packed = zipped({"a.wav": bytes(1000), "b.wav": bytes(1000)}, zipfile.ZIP_STORED)
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        (_, b), directory = archive.infolist(), archive.start_dir
    second = packed.index(b"PK\x01\x02", directory + 1)
    same = packed[: second + 42] + struct.pack("<L", b.header_offset - 500) + packed[second + 46 :]
    inside = same[: b.header_offset - 500] + packed[b.header_offset :][:30] + same[b.header_offset - 470 :]
    for parts in ([inside], split_zip(inside, 900), cut(inside, 900)):
        with pytest.raises(UnpackError, match="overlap|Overlap"):
            unpacked(tmp_path, parts)


def test_more_bytes_than_allowed_are_refused(tmp_path):
    with pytest.raises(UnpackError, match="more than 2000 bytes"):
        unpacked(tmp_path, split_zip(zipped(), 900), most_bytes=2000)


def test_a_name_that_leads_elsewhere_is_refused(tmp_path):
    with pytest.raises(UnpackError, match="leads out of its folder"):
        unpacked(tmp_path, split_zip(zipped({"good.wav": b"1" * 99, "../x.wav": b"2"}), 70))
    assert not (tmp_path / "x.wav").exists()


SMALL = zipped({"a.wav": b"1" * 80, "é.wav": b"2" * 80}, zipfile.ZIP_STORED)


@pytest.mark.parametrize(
    "parts", [[SMALL], split_zip(SMALL, 150), split_zip(SMALL, 150, zip64=True)], ids=["whole", "split", "zip64"]
)
def test_any_wrong_byte_of_a_directory_is_told_or_harmless(parts, tmp_path):
    *before, last = parts
    for at in range(len(last)):
        try:
            unpacked(tmp_path, [*before, last[:at] + b"\xff" + last[at + 1 :]])
        except UnpackError as error:
            assert "\n" not in str(error)
