"""Unpack a tar or zip that may have been made to do harm.

tarfile and zipfile read the formats, but extract nothing: members are only read, and written here under rules
that are the same for both. A member that breaks one has the whole archive refused.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from earshot.datasets.names import plain_relative

MOST_MEMBERS = 100_000
CHUNK_BYTES = 1 << 20
TAR_HEADER_BYTES = 1 << 26  # all headers of a tar together; extended ones have no limit of their own
DECOMPRESSORS = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}
# RuntimeError: zipfile, for a compression it doesn't know and for a password; OSError: gzip, for wrong bytes
FAULTS = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError)


class UnpackError(Exception):
    """An archive is broken or not to be trusted; the message names the member."""


@dataclass(frozen=True)
class _Member:
    """A regular file in an archive: its checked name, the size it declares, and how to read it."""

    name: str
    size: int
    open: Callable[[], IO[bytes]]


def unpack(
    archive: Path,
    target: Path,
    *,
    most_bytes: int,
    strip: int = 0,
    wanted: Callable[[str], bool] = lambda name: True,
) -> None:
    """Unpack the wanted regular files of `archive` into the new folder `target`.

    Parameters
    ----------
    archive : a zip, or a tar that is plain or compressed with gzip, bzip2 or xz
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
    room, places = most_bytes, _Places()
    for number, member in enumerate(_members(archive, most_bytes), start=1):
        room -= member.size
        if room < 0 or number > MOST_MEMBERS:
            raise UnpackError(f"holds more than {most_bytes} bytes or {MOST_MEMBERS} files")
        name = "/".join(PurePosixPath(member.name).parts[strip:])
        if name and wanted(name):
            places.claim(PurePosixPath(name))
            _write(member, target / name)


class _Places:
    """The names taken so far. Two are the same where a file system could take them for the same."""

    def __init__(self) -> None:
        self._taken: dict[str, tuple[str, str]] = {}

    def claim(self, path: PurePosixPath) -> None:
        """Take the place of a file and its folders; raise `UnpackError` if it is another's."""
        if self._key(path) in self._taken:
            raise UnpackError(f"'{path}': its place is taken, by the same name or one that differs only in case")
        for place, kind in [(path, "file"), *((folder, "folder") for folder in path.parents[:-1])]:
            if self._taken.setdefault(self._key(place), (str(place), kind)) != (str(place), kind):
                raise UnpackError(f"'{path}': the place of '{place}' is taken by another name")

    @staticmethod
    def _key(path: PurePosixPath) -> str:
        return unicodedata.normalize("NFC", str(path)).casefold()


def _write(member: _Member, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    left = member.size
    with path.open("xb") as file:  # x: a new file, never through a link
        for chunk in _content(member):
            left -= len(chunk)
            if left < 0:
                raise UnpackError(f"'{member.name}' is longer than it declares")
            file.write(chunk)
    if left:
        raise UnpackError(f"'{member.name}' is shorter than it declares")


def _content(member: _Member) -> Iterator[bytes]:
    try:
        with member.open() as reader:
            while chunk := reader.read(CHUNK_BYTES):
                yield chunk
    except FAULTS as error:
        raise UnpackError(f"'{member.name}' can't be read: {error}") from None


def _members(archive: Path, most_bytes: int) -> Iterator[_Member]:
    """Yield the regular files; each must be read before the next is asked for."""
    with archive.open("rb") as file:
        magic = file.read(2)
    try:
        yield from _zip_members(archive) if magic == b"PK" else _tar_members(archive, magic, most_bytes)
    except FAULTS as error:
        raise UnpackError(f"can't be read as a tar or zip: {error}") from None


def _zip_members(archive: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            name = _checked(info.filename)
            kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where the packing system has no such thing
            if kind not in (0, stat.S_IFDIR if info.is_dir() else stat.S_IFREG):
                raise UnpackError(f"'{name}' is a link or a device")
            if not info.is_dir():
                yield _Member(name, info.file_size, lambda info=info: opened.open(info))


def _tar_members(archive: Path, magic: bytes, most_bytes: int) -> Iterator[_Member]:
    with DECOMPRESSORS.get(magic, open)(archive, "rb") as stream:
        bounded = _Bounded(stream, most_bytes + TAR_HEADER_BYTES)
        with tarfile.open(fileobj=bounded, mode="r|") as opened:
            for info in opened:
                name = _checked(info.name)
                if info.issparse() or not (info.isreg() or info.isdir()):
                    raise UnpackError(f"'{name}' is a link, a device or sparse")
                if info.isreg():
                    yield _Member(name, info.size, lambda info=info: opened.extractfile(info))


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
    try:
        return "." if name in (".", "./") else plain_relative(name)
    except ValueError as error:
        raise UnpackError(str(error)) from None
