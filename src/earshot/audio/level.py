"""How loud a recording is as models get it, while it is being read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from earshot.audio import decode

LOUDEST = 2.0**40  # times full scale: beyond all integers that were taken for floats, and spectra of it are finite
CANCELLED = 0.01  # of the channels' peak: a mix below this has lost what the channels hold


class Level:
    """What was measured of the blocks that went through `watch`.

    samples, channels : how many there are, of each channel
    finite : whether all samples are numbers, none of them beyond `LOUDEST`
    peak : of the one channel that models get, or the mean of all; full scale is 1
    loudest : the peak of all channels
    """

    def __init__(self, channel: decode.Channel = "mix"):
        """Take the channel that models get."""
        self.channel = channel
        self.samples = self.channels = 0
        self.finite = True
        self.peak = self.loudest = 0.0

    def watch(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield blocks, shape (n, channels), as they are, and measure them."""
        for block in blocks:
            self.samples += len(block)
            self.channels = block.shape[1]
            if len(block):
                self._measure(block)
            yield block

    def _measure(self, block: np.ndarray) -> None:
        highest = _highest(block)
        self.finite = self.finite and highest <= LOUDEST
        self.loudest = max(self.loudest, highest)
        narrow = decode.mono(block, self.channel)
        self.peak = max(self.peak, highest if block.shape[1] == 1 else _highest(narrow))

    @property
    def cancels(self) -> bool:
        """Whether the channels cancel out when they are mixed, as where one is the other's inverse."""
        return self.channel == "mix" and self.peak < CANCELLED * self.loudest


def _highest(samples: np.ndarray) -> float:
    """Return the highest absolute value; not a number where a sample is none."""
    return float(max(samples.max(), -samples.min()))
