"""Reading sound: any file and sample rate in, mono float32 out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile


def read(path: Path) -> tuple[np.ndarray, int]:
    """Decode a recording.

    libsndfile decodes wav, flac, ogg, mp3, au and aiff; m4a goes to audioread, which needs ffmpeg or the
    system's own decoder.

    Returns
    -------
    samples : float32, shape (n, channels), full scale is 1
    sample_rate : int, in Hz

    Raises
    ------
    ValueError
        If nothing at hand decodes the file; the message says why.
    """
    try:
        return soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        if path.suffix.lower() != ".m4a":
            raise ValueError(str(error)) from None
    return _read_with_audioread(path)


def _read_with_audioread(path: Path) -> tuple[np.ndarray, int]:
    import audioread

    try:
        with audioread.audio_open(path) as file:
            pcm = np.frombuffer(b"".join(file), dtype="<i2")
            return (pcm.reshape(-1, file.channels) / 32768).astype(np.float32), file.samplerate
    except (audioread.NoBackendError, audioread.DecodeError, OSError, EOFError) as error:
        raise ValueError(f"no decoder for {path.suffix} at hand ({error!r})") from None


def load(path: Path, sample_rate: int) -> np.ndarray:
    """Read a recording as mono at `sample_rate` Hz, as `librosa.load(path, sr=sample_rate)` does.

    Channels are averaged; resampling is soxr's "HQ", librosa's default.

    Returns
    -------
    float32, shape (n,), full scale is 1
    """
    samples, recorded_at = read(path)
    mono = samples.mean(axis=1)
    if recorded_at == sample_rate:
        return mono
    import soxr

    return soxr.resample(mono, recorded_at, sample_rate, quality="HQ")
