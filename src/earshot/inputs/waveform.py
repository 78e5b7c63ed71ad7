"""The time-domain signal itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

if TYPE_CHECKING:
    import torch

FULL_SCALE = 32768  # of 16 bit


@dataclass(frozen=True)
class Waveform:
    """Samples, kept as 16 bit: shape (T, 1), T samples.

    The siren tutorial's windows of 2 s at 16 kHz are (32000, 1).
    """

    sample_rate: int

    standardised: ClassVar[bool] = False
    columns: ClassVar[None] = None

    def extract(self, samples: np.ndarray) -> np.ndarray:
        """Round to 16 bit: int16, shape (T, 1)."""
        scaled = np.rint(samples * FULL_SCALE).clip(-FULL_SCALE, FULL_SCALE - 1)
        return scaled.astype(np.int16)[:, None]

    def first_row(self, start: float) -> float:
        """Return the sample at `start` seconds."""
        return start * self.sample_rate

    def n_rows(self, length: float) -> int:
        """Return the number of samples in `length` seconds."""
        return round(length * self.sample_rate)

    def finish(self, batch: torch.Tensor) -> torch.Tensor:
        """Return the samples as float32 with full scale 1."""
        return batch.float() / FULL_SCALE
