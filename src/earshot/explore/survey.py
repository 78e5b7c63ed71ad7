"""A recording in one pass: level and outline of the whole, and the samples of an excerpt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from earshot.audio import decode
from earshot.errors import EarshotError
from earshot.explore import SECONDS

STEP = 0.01  # seconds for each pair of values in the outline of a recording


@dataclass(frozen=True)
class Survey:
    """A recording of any length, in little memory. Full scale is 1.

    sample_rate : Hz
    channels : averaged in `outline` and `samples`
    seconds : the length of the whole
    peak, rms : of all channels of the whole
    outline : the start in seconds, and the lowest and the highest sample, of each `STEP`: shape (3, n)
    start : of the excerpt, in seconds
    samples : the excerpt: float32, shape (n,)
    """

    sample_rate: int
    channels: int
    seconds: float
    peak: float
    rms: float
    outline: np.ndarray
    start: float
    samples: np.ndarray

    @property
    def span(self) -> tuple[float, float]:
        """Begin and end of the excerpt, in seconds."""
        return self.start, self.start + len(self.samples) / self.sample_rate

    @property
    def is_whole(self) -> bool:
        """Whether the excerpt is the whole recording, or so nearly that a picture shows no difference."""
        return len(self.samples) >= 0.99 * self.seconds * self.sample_rate


def survey(path: Path, start: float = 0.0, seconds: float = SECONDS, channel: decode.Channel = "mix") -> Survey:
    """Decode a recording block by block, and keep `seconds` of it from second `start`, of one channel or the mean.

    The excerpt is shorter where the recording ends before, and empty where `start` lies behind its end.

    Raises
    ------
    EarshotError
        If the file can't be decoded, holds no sample, or one that is not finite.
    """
    peak, squares, frames = 0.0, 0.0, 0
    outline, kept = [], []
    for sample_rate, block in _blocks(path):
        _check(block, path, frames, sample_rate)
        mono, n = decode.mono(block, channel), len(block)
        peak = max(peak, float(np.abs(block).max()))
        squares += float(np.square(block, dtype=np.float64).sum())
        outline.append(_outline(mono, frames, sample_rate))
        first, end = (round(max(0, min(n, second * sample_rate - frames))) for second in (start, start + seconds))
        kept.append(mono[first:end].copy())  # a view would keep all of the block
        frames += n
    if not frames:
        raise EarshotError(f"{path} holds no sound: it has no samples")
    channels = block.shape[1]
    return Survey(
        sample_rate=sample_rate,
        channels=channels,
        seconds=frames / sample_rate,
        peak=peak,
        rms=(squares / (frames * channels)) ** 0.5,
        outline=np.concatenate(outline, axis=1),
        start=start,
        samples=np.concatenate(kept),
    )


def _blocks(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    """Yield sample rate and block, for each block that is not empty."""
    try:
        sample_rate, decoded = decode.blocks(path)
        yield from ((sample_rate, block) for block in decoded if len(block))
    except (ValueError, TypeError) as error:  # TypeError: soundfile needs the format of a .raw file
        raise EarshotError(f"{path} can't be decoded ({error}). Is it a sound, and whole?") from None


def _check(block: np.ndarray, path: Path, frames_before: int, sample_rate: int) -> None:
    finite = np.isfinite(block).all(axis=1)
    if not finite.all():
        second = (frames_before + int(finite.argmin())) / sample_rate
        raise EarshotError(f"{path} has samples that are no numbers, the first at {second:.3f} s: export it anew")


def _outline(mono: np.ndarray, frames_before: int, sample_rate: int) -> np.ndarray:
    steps = np.arange(0, len(mono), max(1, round(STEP * sample_rate)))
    start = (frames_before + steps) / sample_rate
    return np.stack([start, np.minimum.reduceat(mono, steps), np.maximum.reduceat(mono, steps)])


def dbfs(level: float) -> float:
    """Return a level in decibels of full scale, which is 1; a sine of full scale has an RMS of -3.01 dBFS."""
    with np.errstate(divide="ignore"):
        return float(20 * np.log10(level))
