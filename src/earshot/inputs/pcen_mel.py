"""Mel bands under per-channel energy normalisation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from earshot.inputs.log_mel import LogMel

if TYPE_CHECKING:
    import torch

SCALE = 2.0**30  # from power of full scale 1 to that of 16 bit numbers, which the usual `bias` is made for
EPS = 1e-6


@dataclass(frozen=True)
class PcenMel(LogMel):
    """Mel spectrogram, each band divided by its own recent level and compressed: shape (T, F), F = n_mels bands.

    Per-channel energy normalisation (Wang et al. 2017, arXiv:1607.05666): with the energy E(t) of a band and
    M(t) = (1 - s) M(t - 1) + s E(t), it is (E / (eps + M) ** gain + bias) ** power - bias ** power. Steady background
    and the colour of microphone and room go, onsets and moving tones stay. As `librosa.pcen`, with its s, of each
    window by itself: M begins with the window's first frame, so that nothing before the window is in it.

    time_constant : of M, in seconds
    """

    gain: float
    bias: float
    power: float
    time_constant: float

    def __post_init__(self) -> None:
        """Check the settings; a ValueError says which is wrong."""
        super().__post_init__()
        for name in ("bias", "power", "time_constant"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}, and must be above 0")
        if not 0 <= self.gain <= 1:
            raise ValueError(f"gain is {self.gain}, and must be from 0 to 1")

    @property
    def smoothing(self) -> float:
        """Share s of a frame in M, as librosa derives it from the time constant."""
        frames = self.time_constant * self.sample_rate / self.hop_length
        return (math.sqrt(1 + 4 * frames**2) - 1) / (2 * frames**2)

    def finish(self, batch: torch.Tensor) -> torch.Tensor:
        """Normalise the levels in dB of each band of each window: (B, T, F) -> (B, T, F)."""
        energy = (batch * (math.log(10) / 10)).exp() * SCALE
        share = (self._smooth(energy) + EPS).log().mul(-self.gain).exp() * energy
        return (share / self.bias).log1p().mul(self.power).expm1() * self.bias**self.power

    def _smooth(self, energy: torch.Tensor) -> torch.Tensor:
        """Return M: one product with what each frame has of each frame until it, faster than frame after frame."""
        import torch

        s, number = self.smoothing, torch.arange(energy.shape[1], dtype=torch.float64)
        before = number[:, None] - number
        weights = torch.where(before < 0, 0, s * (1 - s) ** before.clamp_min(0))
        weights[:, 0] += (1 - s) ** (number + 1)  # the first frame stands for all that is not heard
        return weights.to(energy) @ energy
