"""Reading sound: any file and sample rate in, mono float32 out, a block at a time.

A length is what was decoded. Headers are read, since a decoder stops where they say, and where they say too little
the rest is decoded all the same, or the error says what follows.
"""

from __future__ import annotations

import dataclasses
import itertools
import mmap
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile

from earshot.audio import containers, flac, mpeg
from earshot.audio.pieces import Pieces, Whole
from earshot.audio.sound_file import SoundFile
from earshot.audio.suffixes import kind_of_ffmpeg

FULL_SCALE = 2**15  # of 16 bit
BLOCK = 2**19  # samples that are decoded at a time
# Sample rates in Hz that a sound has; others are a fault of the header, by which 40 kB would become gigabytes
SLOWEST, FASTEST = 100, 768_000
MOST_CHANNELS = 1024  # that libsndfile reads
UNRECOGNISED = "Format not recognised"  # libsndfile's words for what is no sound that it knows

Channel = int | Literal["mix"]  # a channel's number, from 0, or the mean of all


def read(path: Path) -> tuple[np.ndarray, int]:
    """Decode a whole recording; see `blocks`.

    Returns
    -------
    samples : float32, shape (n, channels), full scale is 1
    sample_rate : int, in Hz
    """
    sample_rate, decoded = blocks(path)
    return np.concatenate(list(decoded)), sample_rate


def blocks(path: Path) -> tuple[int, Iterator[np.ndarray]]:
    """Decode a recording block by block, by its content, whatever its name.

    libsndfile decodes wav, flac, ogg, opus, mp3, au, aiff, caf and more; m4a and the like go to audioread, which
    needs ffmpeg or the system's own decoder.

    Returns
    -------
    sample_rate : int, in Hz
    blocks : at least one, of float32, shape (n, channels), full scale is 1

    Raises
    ------
    ValueError
        If nothing at hand decodes the file, perhaps only when its damaged part is reached; the message says why.
    OSError
        If the disk does not give it, which says nothing about the file.
    """
    kind = kind_of_ffmpeg(path)
    decoded = _with_audioread(path, kind) if kind else _with_soundfile(path)
    sample_rate, first = next(decoded)
    _check_rate(sample_rate)
    return sample_rate, itertools.chain([first], (block for _, block in decoded))


def _check_rate(sample_rate: int) -> None:
    if not SLOWEST <= sample_rate <= FASTEST:
        raise ValueError(f"header says a sample rate of {sample_rate} Hz, and {SLOWEST} to {FASTEST} are read")


def _with_soundfile(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    try:
        sample_rate = channels = None
        for file in _opened(path):
            with file:
                if (sample_rate or file.samplerate, channels or file.channels) != (file.samplerate, file.channels):
                    raise ValueError("its sample rate or number of channels changes on the way")
                sample_rate, channels = file.samplerate, file.channels
                # libsndfile's own way from 16 bit to float gives the same numbers and takes seven times as long
                dtype = "int16" if file.subtype == "PCM_16" else "float32"
                n = BLOCK
                while n == BLOCK:
                    block = file.block(BLOCK, dtype)
                    n = len(block)
                    yield file.samplerate, _as_float(block)
    except soundfile.LibsndfileError as error:
        raise ValueError(_words(error)) from None


def _words(error: soundfile.LibsndfileError) -> str:
    """Return what libsndfile says, without the path."""
    said = error.error_string.removeprefix("Error : ").rstrip(".")
    is_there = said.startswith("File does not exist")  # it is: it was looked into before
    return UNRECOGNISED if is_there else said


def _open_plain(path: Path, samples: containers.Samples) -> SoundFile:
    """Open plain samples by a header that libsndfile has not judged, whose numbers may be beyond all that it takes."""
    _check_rate(samples.sample_rate)
    if samples.channels > MOST_CHANNELS:
        raise ValueError(f"header says {samples.channels} channels")
    return SoundFile(**containers.as_raw(path, samples))


def _opened(path: Path) -> Iterator[SoundFile]:
    """Open a file so that all its sound is read: one part after the other where it has several."""
    try:
        file = SoundFile(Whole(path))
    except soundfile.LibsndfileError as error:
        yield _open_plain(path, _unopened(path, error))
        return
    if file.format == "MP3":
        yield from _mp3(path, file)
    elif file.format == "FLAC":
        yield from _flac(path, file)
    elif file.format == "OGG" and len(starts := _links(path)) > 1:
        file.close()
        for start, stop in zip(starts, [*starts[1:], None], strict=True):
            yield SoundFile(Pieces(path, [(start, stop)]))
    elif (samples := containers.samples_of(path)) and (unsaid := _unsaid(path, samples)):
        file.close()
        yield _open_plain(path, unsaid)
    else:
        yield file


def _unopened(path: Path, error: soundfile.LibsndfileError) -> containers.Samples:
    """Return the samples of a file that libsndfile refuses; raise the reason where they can't be read either."""
    samples = containers.samples_of(path)
    if not samples:
        raise error
    if samples.subtype == containers.ENCODED or not samples.channels:
        raise error
    return _unsaid(path, samples) or samples


def _unsaid(path: Path, samples: containers.Samples) -> containers.Samples | None:
    """Return the samples with those behind the end that the header declares; None if there are none.

    Raises
    ------
    ValueError
        If they can't be read as sound of this header; the message says what it says, and what follows.
    """
    size, begins_anew = containers.behind(path, samples)
    if begins_anew:
        raise ValueError("another file begins where its sound ends")
    if not size:
        return None
    if not samples.declared:
        raise ValueError("header says 0 samples but sound follows")
    if samples.subtype == containers.ENCODED:
        raise ValueError(f"header says {samples.declared} bytes of sound but {size} more follow")
    return dataclasses.replace(samples, declared=None)


def _mp3(path: Path, file: SoundFile) -> Iterator[SoundFile]:
    """Open an mp3 with the frames that it has; a decoder ends at an estimate of their number, or at other bytes."""
    counted = mpeg.count(path)
    # with a true Xing header there are fewer samples than in its frames: it says how much of their ends is no sound
    enough = counted and (file.frames >= counted.samples or counted.frames <= (counted.declared or 0))
    if not counted or not counted.runs or (enough and len(counted.runs) == 1):
        yield file
        return
    file.close()
    yield SoundFile(mpeg.mended(path, counted))


def _flac(path: Path, file: SoundFile) -> Iterator[SoundFile]:
    """Open a FLAC with the frames that it has; a decoder ends where its header says, and fails where that is too far.

    Raises
    ------
    ValueError
        If another file follows.
    """
    counted = flac.count(path)
    if counted and counted.begins_anew:
        raise ValueError("another file begins where its sound ends")
    if not counted or (counted.declared == counted.samples and counted.whole):
        yield file
        return
    file.close()
    yield SoundFile(flac.mended(path, counted))


def _links(path: Path) -> list[int]:
    """Return where the parts of an Ogg file begin, which may be several files behind each other."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        starts, place, together = [], data.find(b"OggS\0\2"), -1
        while place >= 0:
            if place != together:  # the streams of one part begin one right after another
                starts.append(place)
            n = data[place + 26] if place + 27 <= len(data) else 0
            together = place + 27 + n + sum(data[place + 27 : place + 27 + n])
            place = data.find(b"OggS\0\2", place + 1)
    return starts


def _with_audioread(path: Path, kind: str) -> Iterator[tuple[int, np.ndarray]]:
    import audioread

    try:
        with audioread.audio_open(path) as file:
            for pcm in frames_of(itertools.chain([b""], file), file.channels):
                yield file.samplerate, _as_float(pcm)
    except (audioread.NoBackendError, audioread.DecodeError, OSError, EOFError):
        why = "ffmpeg does not decode it" if shutil.which("ffmpeg") else "needs ffmpeg"
        raise ValueError(f"{why} ({kind})") from None


def excerpt(path: Path, start: float, seconds: float) -> tuple[np.ndarray, int]:
    """Decode a stretch of a recording, without the rest of it where that can be done.

    Returns
    -------
    samples, sample_rate : as `read` does

    Raises
    ------
    ValueError
        If nothing decodes the recording.
    """
    sample_rate, decoded = blocks(path)
    first, n = round(start * sample_rate), round(seconds * sample_rate)
    if kind_of_ffmpeg(path) is None and first > BLOCK:
        parts = list(itertools.islice(_opened(path), 2))
        if len(parts) == 1 and parts[0].seekable():
            with parts[0] as file:
                file.seek(min(first, file.frames))
                return file.block(n), sample_rate
    return np.concatenate(list(_between(decoded, first, first + n))), sample_rate


def _between(decoded: Iterable[np.ndarray], first: int, end: int) -> Iterator[np.ndarray]:
    place = 0
    for block in decoded:
        yield block[max(0, first - place) : max(0, end - place)]
        place += len(block)
        if place >= end:
            return


def frames_of(buffers: Iterable[bytes], channels: int) -> Iterator[np.ndarray]:
    """Yield buffers of 16 bit as whole frames, int16, shape (n, channels), wherever one buffer ends."""
    held = b""
    for buffer in buffers:
        held += buffer
        whole = len(held) // (2 * channels) * (2 * channels)
        yield np.frombuffer(held[:whole], dtype="<i2").reshape(-1, channels)
        held = held[whole:]


def _as_float(block: np.ndarray) -> np.ndarray:
    return block if block.dtype == np.float32 else block * np.float32(1 / FULL_SCALE)


def stream(path: Path, sample_rate: int, channel: Channel = "mix") -> Iterator[np.ndarray]:
    """Yield a recording as mono at `sample_rate` Hz, block by block; together they are what `load` returns."""
    yield from at_rate(*blocks(path), sample_rate, channel)


def mono(block: np.ndarray, channel: Channel = "mix") -> np.ndarray:
    """Return one channel of a block, or the mean of all: shape (n, channels) -> (n,).

    Raises
    ------
    ValueError
        If there is no such channel.
    """
    if channel == "mix":
        return block.mean(axis=1) if block.shape[1] > 1 else block[:, 0]
    if channel >= block.shape[1]:
        raise ValueError(f"has no channel {channel}, it has {block.shape[1]}")
    return block[:, channel]


def at_rate(
    recorded_at: int, decoded: Iterable[np.ndarray], sample_rate: int, channel: Channel = "mix"
) -> Iterator[np.ndarray]:
    """Yield blocks of sound, shape (n, channels) at `recorded_at` Hz, as mono at `sample_rate` Hz: shape (n,)."""
    narrow = (mono(block, channel) for block in decoded)
    if recorded_at == sample_rate:
        yield from narrow
        return
    import soxr

    resampler = soxr.ResampleStream(recorded_at, sample_rate, 1, dtype="float32", quality="HQ")
    for block in narrow:
        yield resampler.resample_chunk(np.ascontiguousarray(block))
    yield resampler.resample_chunk(np.empty(0, np.float32), last=True)


def load(path: Path, sample_rate: int, channel: Channel = "mix") -> np.ndarray:
    """Read a recording as mono at `sample_rate` Hz, as `librosa.load(path, sr=sample_rate)` does.

    Channels are averaged, or one of them is taken; resampling is soxr's "HQ", librosa's default.

    Returns
    -------
    float32, shape (n,), full scale is 1
    """
    return np.concatenate(list(stream(path, sample_rate, channel)))
