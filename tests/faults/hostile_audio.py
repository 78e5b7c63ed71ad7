"""Broken recordings in many formats, decoded as by the manifest, features and `predict`."""

from __future__ import annotations

import functools
import io
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import soundfile

from conftest import tone
from earshot.audio import sources
from earshot.audio.level import Level
from earshot.datasets.examine import Rules, examine
from earshot.datasets.reading import PLAIN
from earshot.errors import EarshotError
from faults.contained import Kind
from faults.mutations import broken

RATE, SECONDS = 8000, (0.1, 0.3)
FORMATS = {  # name: its suffix, soundfile's format and subtype
    "wav 16 bit": ("wav", "WAV", "PCM_16"),
    "wav 24 bit": ("wav", "WAV", "PCM_24"),
    "wav float": ("wav", "WAV", "FLOAT"),
    "wav adpcm": ("wav", "WAV", "IMA_ADPCM"),
    "flac": ("flac", "FLAC", "PCM_16"),
    "ogg vorbis": ("ogg", "OGG", "VORBIS"),
    "opus": ("opus", "OGG", "OPUS"),
    "mp3": ("mp3", "MP3", "MPEG_LAYER_III"),
    "aiff": ("aiff", "AIFF", "PCM_16"),
    "au": ("au", "AU", "PCM_16"),
    "w64": ("w64", "W64", "PCM_16"),
    "caf": ("caf", "CAF", "PCM_16"),
}
RULES = Rules(shortest=SECONDS[0] / 4, silence_dbfs=-80.0)
OGG = b"OggS"
MOST = 100  # samples that a byte is taken for, on the average


def kinds() -> Iterator[Kind]:
    """Yield a kind for each format, and one for what goes to ffmpeg, if that is there."""
    for name, (suffix, *_) in FORMATS.items():
        yield Kind(name, functools.partial(_write, suffix, name), judge)
    if shutil.which("ffmpeg"):
        yield Kind("m4a", functools.partial(_write, "m4a", "m4a"), judge)


@functools.cache
def sounds(name: str) -> list[bytes]:
    """Return a short mono file and a stereo one of a format."""
    if name == "m4a":
        return [_by_ffmpeg(wav) for wav in sounds("wav 16 bit")]
    _, container, subtype = FORMATS[name]
    found = []
    for channels, seconds in enumerate(SECONDS, 1):
        file, samples = io.BytesIO(), np.repeat(tone(440, seconds, RATE)[:, None], channels, axis=1)
        soundfile.write(file, samples, RATE, format=container, subtype=subtype)
        found.append(file.getvalue())
    return found


def _by_ffmpeg(wav: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.m4a")
        subprocess.run(["ffmpeg", "-v", "error", "-i", "-", str(path)], input=wav, check=True)
        return path.read_bytes()


def _write(suffix: str, name: str, rng: Random, folder: Path) -> None:
    other = sounds(name if rng.random() < 0.5 else rng.choice([*FORMATS]))
    content = broken(rng.choice(sounds(name)), rng.choice(other), rng)
    path = folder / f"sound.{suffix}"
    path.write_bytes(_with_right_checksums(content) if OGG in content and rng.random() < 0.5 else content)


def _with_right_checksums(content: bytes) -> bytes:
    """Return an Ogg file whose pages have the checksums of what is in them, so that it gets to its decoder."""
    changed, place = bytearray(content), content.find(OGG)
    while place >= 0:
        n = sum(changed[place + 26 : place + 27])
        stop = place + 27 + n + sum(changed[place + 27 : place + 27 + n])
        changed[place + 22 : place + 26] = bytes(len(changed[place + 22 : place + 26]))
        crc = 0
        for byte in changed[place:stop]:
            crc = (crc << 8 & 0xFFFFFFFF) ^ CRC[crc >> 24 ^ byte]
        changed[place + 22 : place + 26] = crc.to_bytes(4, "little")[: len(changed[place + 22 : place + 26])]
        place = changed.find(OGG, place + 4)
    return bytes(changed)


def _of_byte(value: int) -> int:
    for _ in range(8):
        value = value << 1 ^ (0x104C11DB7 if value >> 31 else 0)
    return value


CRC = [_of_byte(value << 24) for value in range(256)]  # of Ogg, RFC 3533


def judge(folder: Path) -> None:
    """Do with a recording what the manifest, then features, and what `predict` does."""
    [path] = folder.iterdir()
    facts = examine(path, RULES)
    if facts["reason"] is None:
        samples = PLAIN.load(path, RATE)
        assert np.isfinite(samples).all()
        assert abs(len(samples) - facts["seconds"] * RATE) < 2, "it is as long as the manifest says"
        assert facts["seconds"] * facts["sample_rate"] <= MOST * path.stat().st_size, "no length from nothing"
    sources.check(path)
    for block in sources.blocks(path, RATE, Level()):
        assert np.isfinite(block).all()
    if facts["reason"]:
        raise EarshotError(facts["reason"])
