"""Unpack a tar or zip, whole or in parts, that may have been made to do harm.

zipfile and tarfile (with its `data` filter) write the files. What they would mend or let pass has the whole archive
refused here, by rules that are the same for both formats.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from earshot.datasets.download import joined, split_zip
from earshot.datasets.names import plain_relative

MOST_MEMBERS = 100_000
LONGEST, LONGEST_PART = 1000, 255  # letters of a name, and bytes of a part of it, which most file systems take
ZIP_HEADER_BYTES = 30  # before each member of a zip, without its name
TAR_HEADER_BYTES = 1 << 26  # all headers of a tar together; extended ones have no limit of their own
DECOMPRESSORS = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}
# RuntimeError: zipfile, for a compression it doesn't know and for a password; ValueError: for names that are not UTF-8
FAULTS = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error)
FAULTS += (EOFError, RuntimeError, ValueError)
Member = tuple[str, int, Callable[[str], object]]  # checked name, declared size, what writes it under a given name


class UnpackError(Exception):
    """An archive is broken or not to be trusted; the message names the member."""


def unpack(
    archive: Path | Sequence[Path],
    target: Path,
    *,
    most_bytes: int,
    strip: int = 0,
    wanted: Callable[[str], bool] = lambda name: True,
) -> None:
    """Unpack the wanted regular files of `archive` into the new folder `target`.

    Parameters
    ----------
    archive : a zip, or a tar that is plain or compressed with gzip, bzip2 or xz; or its parts, in their order: cut
        anywhere, or by `zip -s`
    target : a folder that must not be there yet
    most_bytes : limit for all that is inside, wanted or not, by what it declares and by what it really is
    strip : how many leading folders are dropped from the names; files above them are left out
    wanted : says of a name, after `strip`, whether it is taken

    Raises
    ------
    UnpackError
        If the archive can't be read or holds too much, or a member has a name that leads out of the folder,
        is a link or a device, or would stand where another does.
    OSError
        If a file can't be written.
    """
    target.mkdir(parents=True)
    parts = [archive] if isinstance(archive, Path) else archive
    room, taken = most_bytes, {}
    try:
        with joined.opened(parts) as (file, starts):
            for number, (member, size, write) in enumerate(_members(file, starts, target, most_bytes), start=1):
                room -= size
                if room < 0 or number > MOST_MEMBERS:
                    raise UnpackError(f"holds more than {most_bytes} bytes or {MOST_MEMBERS} files")
                name = "/".join(PurePosixPath(member).parts[strip:])
                if name and wanted(name):
                    claim(PurePosixPath(name), taken)
                    write(name)
                    if (target / name).stat().st_size != size:
                        raise UnpackError(f"'{member}' is not as long as it declares")
    except (*FAULTS, OSError) as error:
        if getattr(error, "errno", None) is not None:  # of this machine's disk; a decompressor's has no number
            raise
        order = ". Are these the parts of one archive, all of them, in their order?" if len(parts) > 1 else ""
        raise UnpackError(f"can't be read as a tar or zip: {error}{order}") from None


def claim(path: PurePosixPath, taken: dict[str, str]) -> None:
    """Add a file and its folders to `taken`, where names that a file system could take for the same have one key.

    Raises
    ------
    UnpackError
        If another file or folder has its place.
    """
    for place in (str(path), *(f"{folder}/" for folder in path.parents[:-1])):
        key = unicodedata.normalize("NFC", place.rstrip("/")).casefold()
        if key in taken and not (place.endswith("/") and taken[key] == place):
            raise UnpackError(
                f"'{path}': the place of '{place}' is taken, by the same name or one that differs only in case"
            )
        taken[key] = place


def _members(file: BinaryIO, starts: list[int], target: Path, most_bytes: int) -> Iterator[Member]:
    magic = file.read(2)
    is_zip = magic == b"PK" or split_zip.end_of(file, starts[-1]) is not None  # parts may be in another order
    file.seek(0)
    if is_zip:
        return _zip_members(split_zip.on_one_disk(file, starts), target)
    return _tar_members(file, magic, target, most_bytes)


def _zip_members(file: BinaryIO, target: Path) -> Iterator[Member]:
    with zipfile.ZipFile(file) as opened:
        _check_overlaps(opened)
        for info in opened.infolist():
            name = _checked(info.filename)
            kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where the packing system has no such thing
            if kind not in (0, stat.S_IFDIR if info.is_dir() else stat.S_IFREG):
                raise UnpackError(f"'{name}' is a link or a device")
            if not info.is_dir():
                yield name, info.file_size, partial(_extract_zipped, opened, info, target)


def _check_overlaps(opened: zipfile.ZipFile) -> None:
    """Refuse two members that have bytes in common: so little can unpack to much."""
    end = 0
    for info in sorted(opened.infolist(), key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise UnpackError(f"{info.filename!r} overlaps another member")
        end = info.header_offset + ZIP_HEADER_BYTES + info.compress_size


def _extract_zipped(opened: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, name: str) -> None:
    info.filename = name
    opened.extract(info, target)


def _tar_members(file: BinaryIO, magic: bytes, target: Path, most_bytes: int) -> Iterator[Member]:
    """Yield the regular files; each must be written before the next is requested."""
    with DECOMPRESSORS[magic](file, "rb") if magic in DECOMPRESSORS else nullcontext(file) as stream:
        bounded = _Bounded(stream, most_bytes + TAR_HEADER_BYTES)
        with tarfile.open(fileobj=bounded, mode="r|") as opened:
            for info in opened:
                name = _checked(info.name)
                if info.issparse() or not (info.isreg() or info.isdir()):
                    raise UnpackError(f"'{name}' is a link, a device or sparse")
                if info.isreg():
                    yield name, info.size, partial(_extract_tarred, opened, info, target)
        while bounded.read(tarfile.RECORDSIZE):  # a checksum of all stands behind the end of the tar
            pass


def _extract_tarred(opened: tarfile.TarFile, info: tarfile.TarInfo, target: Path, name: str) -> None:
    opened.extract(info.replace(name=name, deep=False), target, set_attrs=False, filter="data")


class _Bounded:
    """A stream that ends in an `UnpackError` after `limit` bytes: headers of a tar can be a bomb too."""

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self._stream, self._left = stream, limit

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise UnpackError("unpacks to more bytes than allowed")
        return data


def _checked(name: str) -> str:
    if len(name) > LONGEST or any(len(part.encode("utf-8", "replace")) > LONGEST_PART for part in name.split("/")):
        raise UnpackError(f"{name[:60]!r}… is too long a name")
    try:
        return "." if name in (".", "./") else plain_relative(name)
    except ValueError as error:
        raise UnpackError(str(error)) from None
