"""The time-domain signal itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from earshot.audio.decode import FULL_SCALE
from earshot.inputs.frames import OverTime

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Waveform(OverTime):
    """Samples, kept as 16 bit: shape (T, 1), T samples.

    The siren tutorial's windows of 2 s at 16 kHz are (32000, 1).
    """

    sample_rate: int

    frame_length: ClassVar[int] = 1
    hop_length: ClassVar[int] = 1

    def extract(self, samples: np.ndarray) -> np.ndarray:
        """Round to 16 bit: int16, shape (T, 1)."""
        scaled = np.rint(samples * FULL_SCALE).clip(-FULL_SCALE, FULL_SCALE - 1)
        return scaled.astype(np.int16)[:, None]

    def finish(self, batch: torch.Tensor) -> torch.Tensor:
        """Return the samples as float32 with full scale 1."""
        return batch.float().mul_(1 / FULL_SCALE)  # exact: a power of two
