"""Stretches of recordings, to be listened to."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import soundfile
import soxr

from earshot.audio import decode

SAMPLE_RATE = 16000  # of what is embedded, in Hz


def mp3(samples: np.ndarray, sample_rate: int = SAMPLE_RATE) -> str:
    """Return a sound, shape (n,), as the data address of an MP3; `sample_rate` is one that MP3 knows."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, sample_rate, format="MP3")
    return data_address("audio/mpeg", buffer.getvalue())


def data_address(kind: str, content: bytes) -> str:
    """Return the address that holds its own content, of a media type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def excerpt(path: Path, start: float, seconds: float) -> np.ndarray:
    """Read a stretch of a recording, to be heard whatever its level: mono, float32, at SAMPLE_RATE, its peak at 0.7.

    Raises
    ------
    ValueError
        If nothing decodes the recording.
    """
    samples = _excerpt(path, start, seconds)
    return samples / max(np.abs(samples).max(), 1e-4) * 0.7


def _excerpt(path: Path, start: float, seconds: float) -> np.ndarray:
    """Read a stretch of a recording as mono at SAMPLE_RATE, without decoding the rest of it where that can be done."""
    try:
        with soundfile.SoundFile(path) as file:
            rate = file.samplerate
            file.seek(round(start * rate))
            samples = file.read(round(seconds * rate), dtype="float32", always_2d=True).mean(axis=1)
    except soundfile.LibsndfileError:  # m4a
        first = round(start * SAMPLE_RATE)
        return decode.load(path, SAMPLE_RATE)[first : first + round(seconds * SAMPLE_RATE)]
    return soxr.resample(samples, rate, SAMPLE_RATE)
