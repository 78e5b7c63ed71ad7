"""Whether a recording ends before its header says, as where a disk was full or a copy broke off."""

from __future__ import annotations

import mmap
import os
import re
import struct
from pathlib import Path

from earshot.audio import containers, flac, mpeg

EARLY, UNENDED = "ends before its header says", "ends without the mark of an end"
LEAST = 0.1  # seconds; writers pad and round
OPEN = (2**31, 2**32)  # what writes to a pipe knows no size, and puts one a little below these
NEAR = 2**16
LAST = 4  # the flag of the last page of an Ogg stream


def note(path: Path, samples: int, sample_rate: int) -> str | None:
    """Return what is to be told of a recording from which `samples` were decoded; None where nothing is.

    What its header declares and the file lacks is told in seconds, behind a colon. An Ogg file declares no length; of
    one that lacks its last page nobody knows how much is missing.
    """
    with path.open("rb") as file:
        begin = file.read(12)
    if begin[:4] == b"OggS":
        return None if _ogg_ends(path) else UNENDED
    if counted := flac.count(path):
        missing = max(counted.declared - samples, 0) / sample_rate
        if not counted.declared and not counted.whole:
            return UNENDED
    elif begin[:7] == b"NIST_1A":
        missing = max(_sphere(path) - samples, 0) / sample_rate
    elif begin[:3] == b"ID3" or begin[:1] == b"\xff":
        counted_mp3 = mpeg.count(path)
        share = (counted_mp3.declared or 0) / counted_mp3.frames - 1 if counted_mp3 and counted_mp3.frames else 0.0
        missing = share * samples / sample_rate
    else:
        share = _mp4(path) if begin[4:8] == b"ftyp" else _of_container(path)
        missing = share * samples / sample_rate
    return f"{EARLY}: {missing:.2f} s are missing" if missing >= LEAST else None


def _of_container(path: Path) -> float:
    """Return how much of its sound a file of plain samples lacks, as a share of what it has."""
    samples = containers.samples_of(path)
    if not samples or not samples.declared or any(-NEAR < samples.declared - size <= 0 for size in OPEN):
        return 0.0
    there = path.stat().st_size - samples.start
    return max(samples.declared - there, 0) / there if there > 0 else 0.0


def _sphere(path: Path) -> int:
    """Return how many samples of each channel the header of a NIST SPHERE file declares; 0 where it doesn't."""
    with path.open("rb") as file:
        found = re.search(rb"sample_count -i (\d+)", file.read(1024))
    return int(found[1]) if found else 0


def _mp4(path: Path) -> float:
    """Return how much of its media an m4a or the like lacks, as a share of what it has."""
    with path.open("rb") as file:
        end, place = os.fstat(file.fileno()).st_size, 0
        while place + 16 <= end:
            file.seek(place)
            size, kind, large = struct.unpack(">I4sQ", file.read(16))
            size = large if size == 1 else size
            if size < 8:  # 0: to the end of the file
                return 0.0
            if place + size > end:
                return (place + size - end) / (end - place) if kind == b"mdat" else 0.0
            place += size
    return 0.0


def _ogg_ends(path: Path) -> bool:
    """Tell whether an Ogg file has a last page, and has all of it."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        place = data.rfind(b"OggS\0")
        head = data[place : place + 27]
        if len(head) < 27 or not head[5] & LAST:
            return False
        return place + 27 + head[26] + sum(data[place + 27 : place + 27 + head[26]]) <= len(data)
