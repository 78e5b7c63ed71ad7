"""Stretches of recordings, to be listened to."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import soundfile
import soxr

from earshot.audio import decode
from earshot.processes import undisturbed

SAMPLE_RATE = 16000  # of what is embedded, in Hz


def mp3(samples: np.ndarray, sample_rate: int = SAMPLE_RATE) -> str:
    """Return a sound, shape (n,), as the data address of an MP3; `sample_rate` is one that MP3 knows."""
    buffer = io.BytesIO()
    with undisturbed():  # an exception in `write` of the buffer, which libsndfile calls, would be lost
        soundfile.write(buffer, samples, sample_rate, format="MP3")
    return data_address("audio/mpeg", buffer.getvalue())


def data_address(kind: str, content: bytes) -> str:
    """Return the address that holds its own content, of a media type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def excerpt(path: Path, start: float, seconds: float, channel: decode.Channel = "mix") -> np.ndarray:
    """Read a stretch of a recording, to be heard whatever its level: mono, float32, at SAMPLE_RATE, its peak at 0.7.

    Raises
    ------
    ValueError
        If nothing decodes the recording.
    """
    found, rate = decode.excerpt(path, start, seconds)
    samples = soxr.resample(decode.mono(found, channel), rate, SAMPLE_RATE)
    return samples / max(np.abs(samples).max(), 1e-4) * 0.7
