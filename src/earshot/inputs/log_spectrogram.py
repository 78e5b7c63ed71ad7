"""The siren tutorial's log spectrogram."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from earshot.inputs.frames import OverTime

if TYPE_CHECKING:
    import torch

LEAST = 0.01  # deviation that a bin is divided by: sound moves its log power by 0.1 and more, rounding by less


@dataclass(frozen=True)
class LogSpectrogram(OverTime):
    """Log power spectral density: shape (T, F), T frames, F = nperseg / 2 + 1 bins.

    `scipy.signal.spectrogram` with its defaults (Tukey window 0.25, constant detrend, density scaling), then
    the natural log of 1 + density / `eps`, then for each window and bin zero mean and unit deviation over
    time. With 320 and 160 samples at 16 kHz a window of 2 s is (199, 161).

    The tutorial's log of the density plus `eps` is the same but for a constant, which the mean takes off; it loses
    the digits of densities far below `eps`.
    """

    sample_rate: int
    nperseg: int
    noverlap: int
    eps: float

    def __post_init__(self) -> None:
        """Check the settings; a ValueError says which is wrong."""
        super().__post_init__()
        if not 0 < self.eps < math.inf:
            raise ValueError(f"eps is {self.eps}, and must be above 0")

    @property
    def frame_length(self) -> int:
        """Samples that a frame sees."""
        return self.nperseg

    @property
    def hop_length(self) -> int:
        """Samples from frame to frame."""
        return self.nperseg - self.noverlap

    def extract(self, samples: np.ndarray) -> np.ndarray:
        """Compute the log spectrogram of a stretch of sound, not yet normalised: float32, shape (T, F)."""
        from earshot.audio import spectrum  # where it is needed: a training takes rows from a file

        density = spectrum.density(samples, self.sample_rate, self.nperseg, self.hop_length, self.eps)
        density += 1  # not by log1p, which numpy takes a number at a time where a processor has no AVX-512
        return np.log(density, out=density)

    def finish(self, batch: torch.Tensor) -> torch.Tensor:
        """Bring each bin of each window to zero mean and unit deviation over time (population deviation).

        A bin that hardly moves, by a deviation less than `LEAST`, is not blown up: it stays near zero.
        """
        centred = batch - batch.mean(dim=1, keepdim=True)
        deviation = centred.square().mean(dim=1, keepdim=True).sqrt()
        return centred.div_(deviation.clamp_(min=LEAST))
