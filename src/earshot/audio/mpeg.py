"""MPEG audio (mp3): its frames are counted, since the header that says their number may be missing or wrong."""

from __future__ import annotations

import mmap
import re
import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from earshot.audio.pieces import Pieces

KBIT = {  # of the bit rate's index 1 to 14, by whether it is MPEG 1, and layer
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
RATES = (44100, 48000, 32000)  # of MPEG 1; MPEG 2 has half of them, MPEG 2.5 a quarter
SAME = 0xFFFE0C00  # the bits of a header that all frames share: sync, version, layer, sample rate
FRAME = re.compile(rb"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff][\x10-\xef]")  # how one may begin
ROOMY = 9 << 12  # a bit rate whose frames have room for a Xing header
FRAMES, BYTES = 1, 2  # flags of a Xing header: what it holds


@dataclass(frozen=True)
class Frame:
    """What a frame's header says.

    size : in bytes
    samples : of each channel
    xing : where a Xing header stands in it, if it is one
    """

    size: int
    samples: int
    xing: int


@cache
def frame(header: int) -> Frame | None:
    """Read the 32 bits with which a frame begins; None if no frame does."""
    version, layer = header >> 19 & 3, 4 - (header >> 17 & 3)
    bits, rate = header >> 12 & 15, header >> 10 & 3
    if header >> 21 != 0x7FF or version == 1 or layer == 4 or bits in (0, 15) or rate == 3:
        return None
    first = version == 3
    hertz, per_second = RATES[rate] >> (2 if version == 0 else int(not first)), 1000 * KBIT[first, layer][bits - 1]
    padding = header >> 9 & 1
    samples = 384 if layer == 1 else 576 if layer == 3 and not first else 1152
    size = (samples // 32 * per_second // hertz + padding) * 4 if layer == 1 else samples // 8 * per_second // hertz
    mono = header >> 6 & 3 == 3
    return Frame(
        size + (padding if layer > 1 else 0), samples, 4 + ((17 if mono else 32) if first else 9 if mono else 17)
    )


@dataclass(frozen=True)
class Counted:
    """The frames of a file.

    runs : where they lie one right after another: from byte to byte, without a Xing header
    header : the first one's 32 bits
    frames : how many there are, without that of a Xing header
    samples : that they hold, of each channel
    xing : the bytes of the frame that is a Xing header, or none
    """

    runs: list[tuple[int, int | None]]
    header: int
    frames: int
    samples: int
    xing: bytes

    @property
    def declared(self) -> int | None:
        """The number of frames by the Xing header, None where that does not say."""
        at = frame(self.header).xing
        return int.from_bytes(self.xing[at + 8 : at + 12], "big") if self.xing and self.xing[at + 7] & FRAMES else None


def count(path: Path) -> Counted | None:
    """Count the frames of a file; None if it has none."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        place = first = _next(data, 0, None)
        if first is None:
            return None
        header = _header(data, first)
        like = header & SAME
        found = frame(header)
        tag = data[first + found.xing : first + found.xing + 4]
        xing = data[first : first + found.size] if tag in (b"Xing", b"Info") else b""
        n, runs, place = 0, [], place + len(xing)
        while place is not None:
            start = place
            while (
                (bits := _header(data, place)) & SAME == like and (one := frame(bits)) and place + one.size <= len(data)
            ):
                n, place = n + 1, place + one.size
            runs += [(start, place)] if place > start else []
            place = _next(data, place, like)
        return Counted(runs, header, n, n * found.samples, xing)


def _header(data: mmap.mmap, place: int) -> int:
    return int.from_bytes(data[place : place + 4], "big")


def _next(data: mmap.mmap, place: int, like: int | None) -> int | None:
    """Return where the next frame begins after tags and what else is no sound, or None: two in a row are believed."""
    while (place := behind_tag(data, place)) + 4 <= len(data):
        bits = _header(data, place)
        one = frame(bits) if like in (None, bits & SAME) else None
        if one:
            then = place + one.size
            if then == len(data) or (then < len(data) and (_header(data, then) ^ bits) & SAME == 0):
                return place
        may_be = FRAME.search(data, place + 1)
        if not may_be:
            return None
        place = may_be.start()
    return None


def behind_tag(data: mmap.mmap, place: int) -> int:
    """Return where an ID3 tag ends, or tags that follow each other; the place itself if there is none."""
    while True:
        if data[place : place + 3] == b"ID3" and place + 10 <= len(data):
            size = 0
            for byte in data[place + 6 : place + 10]:
                size = size << 7 | byte & 127
            place += 10 + size
        elif data[place : place + 3] == b"TAG" and place + 128 == len(data):
            return len(data)
        else:
            return place


def mended(path: Path, counted: Counted) -> Pieces:
    """Return the frames of a file without what lies between them, behind a Xing header that has their number."""
    if counted.declared is not None:
        head = bytearray(counted.xing)
    else:
        header = counted.header & ~(0xF << 12 | 1 << 9) | ROOMY | 1 << 16  # without a checksum
        head = bytearray(header.to_bytes(4, "big") + bytes(frame(header).size - 4))
        at = frame(header).xing
        head[at : at + 8] = b"Xing" + struct.pack(">I", FRAMES)
    at = frame(counted.header).xing
    head[at + 8 : at + 12] = struct.pack(">I", counted.frames)
    if head[at + 7] & BYTES:
        size = len(head) + sum(stop - start for start, stop in counted.runs)
        head[at + 12 : at + 16] = struct.pack(">I", size & 0xFFFFFFFF)
    return Pieces(path, counted.runs, bytes(head))
