"""FLAC: the frames' own numbers say how much sound a file has; a decoder ends where its header says.

The format is RFC 9639. A frame begins with a sync code and its number, and ends with a checksum (CRC-16).
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

from earshot.audio import mpeg
from earshot.audio.pieces import Pieces

BEGIN = b"fLaC"
INFO = 34  # bytes of STREAMINFO, the first block of metadata
ANEW = (b"fLaC\0\0\0\x22", b"fLaC\x80\0\0\x22")  # how another file begins: the mark, and the head of its STREAMINFO
LARGEST = 8 * 4  # bytes for a sample: 8 channels of 32 bit, where a frame saves nothing
AROUND = 256  # bytes of a frame's heads and its checksum, with room to spare
TAG = 128  # bytes of an ID3v1 tag at the end of a file
MOST_BLOCKS = 10_000  # of metadata; many megabytes of zeros look like empty ones
MOST_SOUGHT = 100_000  # places that look like the last frame; of a file by chance one in 64 kB does


def _table(polynomial: int, bits: int) -> list[int]:
    """Return the table of a checksum of 8 or 16 bits, by byte."""
    found = []
    for value in range(256):
        value <<= bits - 8
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value >> (bits - 1) else 0)) & ((1 << bits) - 1)
        found.append(value)
    return found


CRC8, CRC16 = _table(0x07, 8), _table(0x8005, 16)


@dataclass(frozen=True)
class Counted:
    """What a file has, by its frames.

    begin : where the mark `fLaC` stands
    declared : samples of each channel by the header; 0 where it leaves that open
    samples : by the frames that are whole
    end : of the last whole frame, in bytes
    whole : whether the last frame is, apart from what else is behind it
    begins_anew : whether another file begins behind
    """

    begin: int
    declared: int
    samples: int
    end: int
    whole: bool
    begins_anew: bool


def count(path: Path) -> Counted | None:
    """Count the samples of a file; None if it is no FLAC, or none of its frames is found."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        begin = mpeg.behind_tag(data, 0)
        if data[begin : begin + 4] != BEGIN or len(data) < begin + 8 + INFO:
            return None
        first = _first_frame(data, begin)
        block, packed = struct.unpack_from(">H", data, begin + 8)[0], struct.unpack_from(">Q", data, begin + 18)[0]
        tagged = data[-TAG : -TAG + 3] == b"TAG"
        end = len(data) - (TAG if tagged else 0)
        last = _last_frame(data, first, end)
        if last is None:
            return None
        before, own = _numbers(data, last, block)
        stop = _end_of_frame(data[last : min(end, last + LARGEST * own + AROUND)])
        anew = any(data.find(mark, first) >= 0 for mark in ANEW)
        return Counted(begin, packed & 0xFFFFFFFFF, before + own * bool(stop), last + stop, bool(stop), anew)


def mended(path: Path, counted: Counted) -> Pieces:
    """Return the whole frames of a file behind a header that leaves their number open."""
    with path.open("rb") as file:
        file.seek(counted.begin)
        head = bytearray(file.read(8 + INFO))
    head[21] &= 0xF0
    head[22:26] = bytes(4)
    return Pieces(path, [(counted.begin + len(head), counted.end)], bytes(head))


def _first_frame(data: mmap.mmap, begin: int) -> int:
    """Return where the metadata ends; the end of the file, where it doesn't."""
    place = begin + 4
    for _ in range(MOST_BLOCKS):
        if place + 4 > len(data):
            return place
        is_last = bool(data[place] & 0x80)
        place += 4 + int.from_bytes(data[place + 1 : place + 4], "big")
        if is_last:
            return place
    return len(data)


def _last_frame(data: mmap.mmap, first: int, end: int) -> int | None:
    """Return where the last frame begins that has the head of a frame, like the first one; None if none has."""
    sync, place = data[first : first + 2], end
    if len(sync) < 2 or not _is_head(data, first, first):
        return None
    for _ in range(MOST_SOUGHT):
        place = data.rfind(sync, first, place + 1)  # at last the first one's
        if _is_head(data, place, first):
            return place
    return None


def _is_head(data: mmap.mmap, place: int, first: int) -> bool:
    """Tell whether bytes are a frame's head: its checksum is right, and the sample rate and format are the first's."""
    size = _head_size(data[place : place + 16])
    alike = len(data) > place + 3 and (data[place + 2] ^ data[first + 2]) & 0x0F == 0
    alike = alike and (data[place + 3] ^ data[first + 3]) & 0x0F == 0
    return alike and size > 0 and place + size <= len(data) and _crc8(data[place : place + size]) == 0


def _head_size(head: bytes) -> int:
    """Return how long a frame's head is, its checksum included; 0 if it is none."""
    if len(head) < 16:
        head = head.ljust(16, b"\0")
    number = _utf8_size(head[4])
    block, rate = head[2] >> 4, head[2] & 0x0F
    if not number or head[:1] != b"\xff" or block == 0 or rate == 15:
        return 0
    return 4 + number + {6: 1, 7: 2}.get(block, 0) + {12: 1, 13: 2, 14: 2}.get(rate, 0) + 1


def _utf8_size(byte: int) -> int:
    """Return how many bytes a number has that is written as UTF-8 writes characters, by its first; 0 if it is none."""
    ones = 8 - (~byte & 0xFF).bit_length()
    return 1 if ones == 0 else ones if 2 <= ones <= 7 else 0


def _numbers(data: mmap.mmap, place: int, block: int) -> tuple[int, int]:
    """Return how many samples come before a frame, and how many it has.

    Parameters
    ----------
    block : samples of each frame but the last, by the header; where their number varies, frames say their own place
    """
    size, code = _utf8_size(data[place + 4]), data[place + 2] >> 4
    number = data[place + 4] & (0x7F >> size if size > 1 else 0x7F)
    for byte in data[place + 5 : place + 4 + size]:
        number = number << 6 | byte & 0x3F
    return (number if data[place + 1] & 1 else number * block), _samples(
        code, data[place + 4 + size : place + 6 + size]
    )


def _samples(code: int, after: bytes) -> int:
    """Return how many samples a frame has by the four bits for it, and by what follows the frame's number."""
    if code in (6, 7):
        return int.from_bytes(after[: code - 5], "big") + 1
    return 192 if code == 1 else 576 << (code - 2) if code <= 5 else 256 << (code - 8)


def _crc8(content: bytes) -> int:
    value = 0
    for byte in content:
        value = CRC8[value ^ byte]
    return value


def _end_of_frame(content: bytes) -> int:
    """Return where the frame ends with which some bytes begin: where its checksum is right; 0 if it is cut off."""
    right, value = [], 0
    for place, byte in enumerate(content, 1):
        value = (value << 8 & 0xFF00) ^ CRC16[value >> 8 ^ byte]
        if value == 0:
            right.append(place)
    if not right or right[-1] < len(content):
        return right[0] if right else 0
    return next(place for n, place in enumerate(right) if len(content) - place == len(right) - n - 1)  # zeros behind
