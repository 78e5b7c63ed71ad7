"""A split zip, as the same zip on one disk: zipfile reads no other.

`zip -s` cuts an archive into NAME.z01, NAME.z02, …, NAME.zip. Its directory says of each member the number of its disk,
which is the part, and its offset in that part. So the parts one after the other are no zip yet. Here the directory is
written anew, with offsets from the beginning of the first part, and put in place of the one at the end.

Sections of PKWARE's APPNOTE.TXT 6.3.10: 4.3.12 (directory), 4.3.14 and 4.3.15 (its end in zip64), 4.3.16 (its end),
4.4.1.4 and 4.5.3 (numbers that need zip64), 8 (splitting and spanning).
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import BinaryIO
from zipfile import BadZipFile

from earshot.datasets.download.joined import buffered

END = struct.Struct("<4s4H2LH")  # 4.3.16
END64 = struct.Struct("<4sQ2H2L4Q")  # 4.3.14
LOCATOR = struct.Struct("<4sLQL")  # 4.3.15
MEMBER = struct.Struct("<4s6H3L5H2L")  # 4.3.12
EXTRA = struct.Struct("<2H")  # 4.5.1: kind and length
END_MARK, END64_MARK, LOCATOR_MARK, MEMBER_MARK, FILE_MARK = b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\1\2", b"PK\3\4"
ZIP64 = 1  # the kind of extra field
IN_ZIP64, DISK_IN_ZIP64 = 0xFFFFFFFF, 0xFFFF
LONGEST_COMMENT = 0xFFFF


@dataclass(frozen=True)
class _End:
    """The end of a directory: the disk that it is on, where the directory begins, and how long it is."""

    disk: int
    first_disk: int
    offset: int
    size: int


@dataclass(frozen=True)
class _Parts:
    """The parts, joined; `starts` as in `Joined`."""

    file: BinaryIO
    starts: list[int]

    def read(self, at: int, size: int) -> bytes:
        self.file.seek(at)
        return self.file.read(size)

    def check_count(self, wanted: int) -> None:
        """Check that there are as many parts as the archive says."""
        if wanted != (count := len(self.starts) - 1):
            raise BadZipFile(f"it is the last of {wanted} parts, and there {'is' if count == 1 else 'are'} {count}")

    def place(self, disk: int, offset: int, what: str) -> int:
        """Return where a byte of a disk is, counted from the beginning of the first part."""
        if disk >= len(self.starts) - 1 or offset > self.starts[disk + 1] - self.starts[disk]:
            count = len(self.starts) - 1
            raise BadZipFile(f"{what} is said to be at byte {offset} of part {disk + 1} of {count}")
        return self.starts[disk] + offset


def end_of(file: BinaryIO, size: int) -> int | None:
    """Return where the end of a zip's directory is in a file of `size` bytes: last but for a comment (4.3.16)."""
    at = max(0, size - END.size - LONGEST_COMMENT)
    file.seek(at)
    tail = file.read(size - at)
    found = tail.rfind(END_MARK)
    if found < 0 or len(tail) - found < END.size:
        return None
    comment = END.unpack(tail[found : found + END.size])[-1]
    return at + found if found + END.size + comment == len(tail) else None


def on_one_disk(file: BinaryIO, starts: list[int]) -> BinaryIO:
    """Return a zip whose parts are `file` as a zip on one disk.

    One that was cut without a word of it inside, as `split` does, is returned as it is.

    Parameters
    ----------
    file : the parts one after the other
    starts : where each begins in it, and the end of the last

    Raises
    ------
    BadZipFile
        If a part is missing, or they are in another order or of several archives.
    """
    parts, end_at = _Parts(file, starts), end_of(file, starts[-1])
    if end_at is None and len(starts) > 2:
        raise BadZipFile("the last part does not end as a zip does")
    if end_at is None:
        return file  # zipfile tells what is wrong
    end = _end(parts, end_at)
    if end.disk == 0:
        return file
    parts.check_count(end.disk + 1)
    begin = parts.place(end.first_disk, end.offset, "its directory")
    if begin + end.size > end_at:
        raise BadZipFile("its directory is longer than the last part says")
    directory, members = _directory(parts, parts.read(begin, end.size))
    tail = io.BytesIO(directory + _written_end(members, len(directory), begin))
    return buffered([(file, begin), (tail, len(tail.getbuffer()))])


def _end(parts: _Parts, at: int) -> _End:
    """Read the end of the directory at `at`; that of zip64 counts where there is one."""
    _, disk, first_disk, _, _, size, offset, _ = END.unpack(parts.read(at, END.size))
    before = parts.read(at - LOCATOR.size, LOCATOR.size) if at >= LOCATOR.size else b""
    _, end64_disk, end64_offset, count = LOCATOR.unpack(before) if before[:4] == LOCATOR_MARK else (b"", 0, 0, 0)
    if count > 1:
        parts.check_count(count)
        end64 = parts.read(parts.place(end64_disk, end64_offset, "the end of its directory"), END64.size)
        if end64[:4] != END64_MARK or len(end64) < END64.size:
            raise BadZipFile("the end of its directory is not where it is said to be")
        _, _, _, _, disk, first_disk, _, _, size, offset = END64.unpack(end64)
    return _End(disk, first_disk, offset, size)


def _directory(parts: _Parts, data: bytes) -> tuple[bytes, int]:
    """Return the directory with offsets from the beginning of the first part, and the number of its members."""
    written, at = [], 0
    while at < len(data):
        fixed = data[at : at + MEMBER.size]
        if fixed[:4] != MEMBER_MARK or len(fixed) < MEMBER.size:
            raise BadZipFile("its directory can't be read")
        fields = list(MEMBER.unpack(fixed))
        name_at = at + MEMBER.size
        extra_at, comment_at = name_at + fields[10], name_at + fields[10] + fields[11]
        at = comment_at + fields[12]
        if at > len(data):
            raise BadZipFile("its directory breaks off")
        written.append(_member(parts, fields, data[name_at:extra_at], data[extra_at:comment_at], data[comment_at:at]))
    return b"".join(written), len(written)


def _member(parts: _Parts, fields: list, name: bytes, extra: bytes, comment: bytes) -> bytes:
    """Return a member's entry, on disk 0 and with all of its numbers in the extra field of zip64 (4.5.3)."""
    told = repr(name.decode("utf-8", "backslashreplace"))
    packed, size, disk, offset = fields[8], fields[9], fields[13], fields[16]
    wide, others = _extras(extra, told)
    try:
        if size == IN_ZIP64:
            size, wide = struct.unpack("<Q", wide[:8])[0], wide[8:]
        if packed == IN_ZIP64:
            packed, wide = struct.unpack("<Q", wide[:8])[0], wide[8:]
        if offset == IN_ZIP64:
            offset, wide = struct.unpack("<Q", wide[:8])[0], wide[8:]
        if disk == DISK_IN_ZIP64:
            disk = struct.unpack("<L", wide[:4])[0]
    except struct.error:
        raise BadZipFile(f"{told}: numbers of zip64 are missing") from None
    place = parts.place(disk, offset, told)
    if parts.read(place, len(FILE_MARK)) != FILE_MARK:
        raise BadZipFile(f"{told} is not where it is said to be, at byte {offset} of part {disk + 1}")
    extra = EXTRA.pack(ZIP64, 24) + struct.pack("<3Q", size, packed, place) + others
    if len(extra) > 0xFFFF:
        raise BadZipFile(f"{told} has too long an extra field")
    fields[8] = fields[9] = fields[16] = IN_ZIP64
    fields[11], fields[13] = len(extra), 0
    return MEMBER.pack(*fields) + name + extra + comment


def _extras(extra: bytes, told: str) -> tuple[bytes, bytes]:
    """Return the extra field of zip64, empty if there is none, and all others."""
    wide, others = b"", b""
    while len(extra) >= EXTRA.size:
        kind, length = EXTRA.unpack(extra[: EXTRA.size])
        one, extra = extra[: EXTRA.size + length], extra[EXTRA.size + length :]
        if len(one) < EXTRA.size + length:
            raise BadZipFile(f"{told} has an extra field that breaks off")
        if kind == ZIP64:
            wide = one[EXTRA.size :]
        else:
            others += one
    return wide, others


def _written_end(members: int, size: int, begin: int) -> bytes:
    """Return the end of a directory of `size` bytes that begins at byte `begin` of the only disk, in zip64."""
    end64 = END64.pack(END64_MARK, END64.size - 12, 45, 45, 0, 0, members, members, size, begin)  # 45: of version 4.5
    locator = LOCATOR.pack(LOCATOR_MARK, 0, begin + size, 1)
    return end64 + locator + END.pack(END_MARK, 0, 0, 0xFFFF, 0xFFFF, IN_ZIP64, IN_ZIP64, 0)
