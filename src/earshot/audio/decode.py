"""Reading sound: any file and sample rate in, mono float32 out, a block at a time."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import soundfile

FULL_SCALE = 2**15  # of 16 bit
BLOCK = 2**19  # samples that are decoded at a time


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
    """Decode a recording block by block.

    libsndfile decodes wav, flac, ogg, mp3, au and aiff; m4a goes to audioread, which needs ffmpeg or the
    system's own decoder.

    Returns
    -------
    sample_rate : int, in Hz
    blocks : at least one, of float32, shape (n, channels), full scale is 1

    Raises
    ------
    ValueError
        If nothing at hand decodes the file, perhaps only when its damaged part is reached; the message says why.
    """
    by_suffix = [_with_soundfile, _with_audioread] if path.suffix.lower() == ".m4a" else [_with_soundfile]
    for decode in by_suffix:
        decoded = decode(path)
        try:
            sample_rate, first = next(decoded)
        except ValueError as error:
            refused = error
            continue
        return sample_rate, itertools.chain([first], (block for _, block in decoded))
    raise refused


def _with_soundfile(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    try:
        with soundfile.SoundFile(path) as file:
            # libsndfile's own way from 16 bit to float gives the same numbers and takes seven times as long
            dtype = "int16" if file.subtype == "PCM_16" else "float32"
            n = BLOCK
            while n == BLOCK:
                block = file.read(BLOCK, dtype=dtype, always_2d=True)
                n = len(block)
                yield file.samplerate, _as_float(block)
    except (soundfile.LibsndfileError, OSError) as error:
        raise ValueError(str(error)) from None


def _with_audioread(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    import audioread

    try:
        with audioread.audio_open(path) as file:
            for pcm in frames_of(itertools.chain([b""], file), file.channels):
                yield file.samplerate, _as_float(pcm)
    except (audioread.NoBackendError, audioread.DecodeError, OSError, EOFError) as error:
        raise ValueError(f"no decoder for {path.suffix} at hand ({error!r})") from None


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


def stream(path: Path, sample_rate: int) -> Iterator[np.ndarray]:
    """Yield a recording as mono at `sample_rate` Hz, block by block; together they are what `load` returns."""
    yield from at_rate(*blocks(path), sample_rate)


def at_rate(recorded_at: int, decoded: Iterable[np.ndarray], sample_rate: int) -> Iterator[np.ndarray]:
    """Yield blocks of sound, shape (n, channels) at `recorded_at` Hz, as mono at `sample_rate` Hz: shape (n,)."""
    mono = (block.mean(axis=1) if block.shape[1] > 1 else block[:, 0] for block in decoded)
    if recorded_at == sample_rate:
        yield from mono
        return
    import soxr

    resampler = soxr.ResampleStream(recorded_at, sample_rate, 1, dtype="float32", quality="HQ")
    for block in mono:
        yield resampler.resample_chunk(block)
    yield resampler.resample_chunk(np.empty(0, np.float32), last=True)


def load(path: Path, sample_rate: int) -> np.ndarray:
    """Read a recording as mono at `sample_rate` Hz, as `librosa.load(path, sr=sample_rate)` does.

    Channels are averaged; resampling is soxr's "HQ", librosa's default.

    Returns
    -------
    float32, shape (n,), full scale is 1
    """
    return np.concatenate(list(stream(path, sample_rate)))
