"""A spectrogram of a whole recording of any length, in a picture of limited width."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from earshot.audio import clips, spectrum
from earshot.audio.cut import stretches
from earshot.audio.spectrogram_image import spectrogram_image

N_FFT, HOP_LENGTH = 512, 256
AT_ONCE = 256  # frames
MOST = 1600  # columns of the picture
RANGE_DB = 70  # below the loudest: black


class Overview:
    """The mean power of a sound in up to `2 * MOST` columns, computed block by block."""

    def __init__(self):
        self.columns = np.empty((0, N_FFT // 2 + 1), np.float32)
        self.left = np.empty_like(self.columns)  # frames that do not fill a column yet
        self.frames = 1  # in a column

    def watch(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield the blocks, float32 of shape (samples,), and add each to the overview."""
        for block in blocks:
            yield block
            for stretch in stretches([block], N_FFT, HOP_LENGTH, AT_ONCE):
                frames = spectrum.windowed(stretch, spectrum.hann(N_FFT, np.float32), HOP_LENGTH)
                self._add(np.square(spectrum.magnitude(frames)))

    def _add(self, power: np.ndarray) -> None:
        power = np.concatenate([self.left, power])
        whole = len(power) // self.frames * self.frames
        self.left = power[whole:]
        means = power[:whole].reshape(-1, self.frames, power.shape[1]).mean(axis=1)
        self.columns = np.concatenate([self.columns, means])
        while len(self.columns) > 2 * MOST:
            if len(self.columns) % 2:
                self.left = np.concatenate([self.columns[-1:].repeat(self.frames, axis=0), self.left])
                self.columns = self.columns[:-1]
            self.columns = self.columns.reshape(-1, 2, self.columns.shape[1]).mean(axis=1)
            self.frames *= 2

    def picture(self) -> str:
        """Return the spectrogram as the data address of a PNG: time to the right, 0 Hz at the bottom, in dB."""
        level = spectrum.decibels(self.columns if len(self.columns) else self.left)
        loudest = float(level.max())
        return clips.data_address("image/png", spectrogram_image(level, loudest - RANGE_DB, loudest))
