"""How models get the recordings of a dataset: which channel, and padded to what length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from earshot.audio import decode
from earshot.audio.padding import NONE, padded, padded_blocks
from earshot.datasets.card import Card, channel_of
from earshot.settings import pad_of, window_of


@dataclass(frozen=True)
class Reading:
    """How recordings are read.

    channel : of the card
    pad : what is done with a recording that is shorter than a window, of `settings.PADS`
    seconds : the length of a window
    """

    channel: decode.Channel = "mix"
    pad: str = NONE
    seconds: float = 0.0

    @property
    def particulars(self) -> list[Any]:
        """What decides the samples besides the recording; nothing where they are mixed and not padded."""
        channel = [] if self.channel == "mix" else [["channel", self.channel]]
        return channel + ([] if self.pad == NONE else [["pad", self.pad, self.seconds]])

    def stream(self, path: Path, sample_rate: int) -> Iterator[np.ndarray]:
        """Yield a recording block by block, mono at `sample_rate` Hz; together they are what `load` returns."""
        return padded_blocks(decode.stream(path, sample_rate, self.channel), self._least(sample_rate), self.pad)

    def load(self, path: Path, sample_rate: int) -> np.ndarray:
        """Read a recording as mono at `sample_rate` Hz: float32, shape (n,)."""
        return np.concatenate(list(self.stream(path, sample_rate)))

    def padded(self, samples: np.ndarray, sample_rate: int) -> np.ndarray:
        """Return mono samples, shape (n,), at least as long as a window where short recordings are padded."""
        return padded(samples, self._least(sample_rate), self.pad)

    def _least(self, sample_rate: int) -> int:
        return round(self.seconds * sample_rate)


PLAIN = Reading()
ReadingOf = Callable[[str], Reading]  # of a recording, by its name or path


def reading_of(card: Card, windows: Mapping[str, Any]) -> ReadingOf:
    """Return what says how a recording of a dataset is read, by its name; `windows` is that of params.yaml."""
    channel, pad = channel_of(card), pad_of(windows, card.task)
    seconds = float(window_of(windows, card.task)["length"])
    return lambda name: Reading(channel(name), pad, seconds)
