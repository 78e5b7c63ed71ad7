"""Where the samples of uncompressed sound lie in its file, and what follows them: a header may declare too few."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from earshot.audio.pieces import Pieces

LEAST = 0.1  # seconds behind the declared end that count as sound; less is a remainder of whatever wrote the file
UNKNOWN = 0xFFFFFFFF  # as a size: to the end of the file
W64 = bytes.fromhex("2e91cf11a5d628db04c10000"), bytes.fromhex("f3acd3118cd100c04f8edb8a")  # of `riff`, of the chunks
MOST_CHUNKS = 10_000  # before the samples; many megabytes of zeros look like empty ones
SOUGHT = 2**16  # bytes that are looked at behind the samples
WAV_CODES = {3: {32: "FLOAT", 64: "DOUBLE"}, 6: {8: "ALAW"}, 7: {8: "ULAW"}}
WAV_CODES[1] = {8: "PCM_U8", 16: "PCM_16", 24: "PCM_24", 32: "PCM_32"}
SIGNED = {8: "PCM_S8", 16: "PCM_16", 24: "PCM_24", 32: "PCM_32"}
AU_CODES = {1: ("ULAW", 8), 2: ("PCM_S8", 8), 3: ("PCM_16", 16), 4: ("PCM_24", 24), 5: ("PCM_32", 32)}
AU_CODES |= {6: ("FLOAT", 32), 7: ("DOUBLE", 64), 27: ("ALAW", 8)}
ENCODED = "a codec of its own"  # ADPCM and the like, whose blocks can't be read without their header


@dataclass(frozen=True)
class Samples:
    """The samples of a file, by its header.

    subtype : soundfile's name, `ENCODED` for what is not plain samples
    endian : "LITTLE" or "BIG"
    bits : of a sample
    channels, sample_rate : of the sound; sample_rate in Hz
    start : of the samples, in bytes
    declared : their size in bytes by the header; None where it leaves that open
    """

    subtype: str
    endian: str
    bits: int
    channels: int
    sample_rate: int
    start: int
    declared: int | None

    @property
    def bytes_per_second(self) -> float:
        """Of plain samples."""
        return self.sample_rate * self.channels * self.bits / 8


def samples_of(path: Path) -> Samples | None:
    """Find the samples of a WAV (RIFF, RIFX, RF64), W64, AIFF, AU or CAF; None if it is none, or not like one."""
    with path.open("rb") as file:
        kind = file.read(4)
        file.seek(0)
        try:
            return READERS[kind](file) if kind in READERS else None
        except struct.error:
            return None


def behind(path: Path, samples: Samples) -> tuple[int, bool]:
    """Look at what follows the declared end of the samples.

    Returns
    -------
    size : bytes of sound there, 0 if there is none
    begins_anew : whether another file begins there
    """
    end = samples.start + (samples.declared or 0)
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if samples.declared is None or end >= size:
            return 0, False
        file.seek(end)
        seen = file.read(SOUGHT)
        if any(seen[odd : odd + 4] in READERS for odd in (0, 1)):
            return 0, True
        if any(_is_chunk(seen[odd:], size - end - odd) for odd in (0, 1)):
            return 0, False
        file.seek(-min(SOUGHT, size - end), os.SEEK_END)
        last = file.read()
    if size - end < LEAST * samples.bytes_per_second or not any(seen) or not any(last):
        return 0, False
    return size - end, False


def _is_chunk(seen: bytes, left: int) -> bool:
    """Tell whether bytes are a chunk's name and size, both believable."""
    if 4 <= seen[:32].find(W64[1]) <= 12:  # chunks of a W64 begin at a multiple of 8 bytes
        return True
    return _name(seen[:4]) and len(seen) >= 8 and any(struct.unpack_from(f"{o}I", seen, 4)[0] <= left for o in "<>")


def as_raw(path: Path, samples: Samples) -> dict[str, Any]:
    """Return the arguments with which soundfile reads samples to the end of their file, or as many as are declared.

    What the header says of their number is left to the caller: `samples.declared` None stands for all.
    """
    stop = None if samples.declared is None else samples.start + samples.declared
    return {
        "content": Pieces(path, [(samples.start, stop)]),
        "samplerate": samples.sample_rate,
        "channels": samples.channels,
        "subtype": samples.subtype,
        "endian": samples.endian,
        "format": "RAW",
    }


def _chunks(file: BinaryIO, order: str, first: int, wide: bool = False) -> dict[bytes, tuple[int, int]]:
    """Return where each chunk's content begins and its size, up to that of the samples.

    A chunk of an odd size is followed by a byte that some writers leave out.
    """
    found: dict[bytes, tuple[int, int]] = {}
    head, size_of = (12, f"{order}4sq") if wide else (8, f"{order}4sI")
    end = os.fstat(file.fileno()).st_size
    place = first
    for _ in range(MOST_CHUNKS):
        if place + head > end:
            break
        file.seek(place)
        name, size = struct.unpack(size_of, file.read(head))
        if size % 2 and not wide:
            file.seek(place + head + size)
            follows = file.read(5)
            padding = int(follows[:1] == b"\0" or not _name(follows[:4]))
        else:
            padding = 0
        found[name] = (place + head, size)
        if name in (b"data", b"SSND") or size < 0:
            break
        place += head + size + padding
    return found


def _name(four: bytes) -> bool:
    return len(four) == 4 and all(0x20 <= byte < 0x7F for byte in four)


def _content(file: BinaryIO, chunk: tuple[int, int], at_most: int) -> bytes:
    file.seek(chunk[0])
    return file.read(min(chunk[1], at_most))


def _wav(file: BinaryIO) -> Samples | None:
    kind = file.read(4)
    order = ">" if kind == b"RIFX" else "<"
    chunks = _chunks(file, order, 12)
    if b"fmt " not in chunks or b"data" not in chunks:
        return None
    content = _content(file, chunks[b"fmt "], 40)
    code, channels, rate, _, _, bits = struct.unpack_from(f"{order}HHIIHH", content)
    if code == 0xFFFE and len(content) >= 26:
        (code,) = struct.unpack_from(f"{order}H", content, 24)
    start, declared = chunks[b"data"]
    if b"ds64" in chunks and declared == UNKNOWN:
        (declared,) = struct.unpack_from("<Q", _content(file, chunks[b"ds64"], 28), 8)
    subtype = WAV_CODES.get(code, {}).get(bits, ENCODED)
    endian = "BIG" if kind == b"RIFX" else "LITTLE"
    return Samples(subtype, endian, bits, channels, rate, start, None if declared == UNKNOWN else declared)


def _aiff(file: BinaryIO) -> Samples | None:
    file.seek(8)
    kind = file.read(4)
    chunks = _chunks(file, ">", 12)
    if b"COMM" not in chunks or b"SSND" not in chunks or kind not in (b"AIFF", b"AIFC"):
        return None
    content = _content(file, chunks[b"COMM"], 22)
    channels, _, bits, exponent, mantissa = struct.unpack_from(">hIhHQ", content)
    rate = round(mantissa * 2.0 ** (exponent - 16383 - 63)) if exponent < 16383 + 63 else 0
    code = content[18:22] if kind == b"AIFC" else b"NONE"
    start, declared = chunks[b"SSND"]
    subtype = SIGNED.get(bits, ENCODED) if code in (b"NONE", b"twos", b"sowt") else ENCODED
    # libsndfile reads to the end where the size is 0 or too large, but not where it is too small
    known = 8 < declared < UNKNOWN
    endian = "LITTLE" if code == b"sowt" else "BIG"
    return Samples(subtype, endian, bits, channels, rate, start + 8, declared - 8 if known else None)


def _au(file: BinaryIO) -> Samples | None:
    order = "<" if file.read(4) == b"dns." else ">"
    start, declared, code, rate, channels = struct.unpack(f"{order}5I", file.read(20))
    subtype, bits = AU_CODES.get(code, (ENCODED, 8))
    endian = "LITTLE" if order == "<" else "BIG"
    return Samples(subtype, endian, bits, channels, rate, start, None if declared == UNKNOWN else declared)


def _caf(file: BinaryIO) -> Samples | None:
    chunks = _chunks(file, ">", 8, wide=True)
    if b"desc" not in chunks or b"data" not in chunks:
        return None
    rate, code, flags, _, _, channels, bits = struct.unpack(">d4s5I", _content(file, chunks[b"desc"], 32))
    start, declared = chunks[b"data"]
    if not 0 <= rate < UNKNOWN:
        return None
    is_float = {32: "FLOAT", 64: "DOUBLE"} if flags & 1 else SIGNED
    subtype = is_float.get(bits, ENCODED) if code == b"lpcm" else ENCODED
    endian = "LITTLE" if flags & 2 else "BIG"
    known = None if declared < 0 else max(declared - 4, 0)  # the samples come after a count of edits
    return Samples(subtype, endian, bits, channels, round(rate), start + 4, known)


def _w64(file: BinaryIO) -> Samples | None:
    head = file.read(40)
    if head[4:16] != W64[0]:
        return None
    end, place, content = os.fstat(file.fileno()).st_size, 40, b""
    for _ in range(MOST_CHUNKS):
        if place + 24 > end:
            break
        file.seek(place)
        name, size = struct.unpack("<16sQ", file.read(24))
        if name == b"data" + W64[1] and content:
            code, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", content)
            if code == 0xFFFE and len(content) >= 26:
                (code,) = struct.unpack_from("<H", content, 24)
            subtype = WAV_CODES.get(code, {}).get(bits, ENCODED)
            return Samples(subtype, "LITTLE", bits, channels, rate, place + 24, max(size - 24, 0))
        if name == b"fmt " + W64[1]:
            content = file.read(min(size - 24, 40))
        if size < 24:
            return None
        place += (size + 7) // 8 * 8
    return None


READERS: dict[bytes, Callable[[BinaryIO], Samples | None]] = {
    **dict.fromkeys((b"RIFF", b"RIFX", b"RF64", b"BW64"), _wav),
    b"FORM": _aiff,
    **dict.fromkeys((b".snd", b"dns."), _au),
    b"caff": _caf,
    b"riff": _w64,
}
