"""How far sounds are tuned from A440, as torch computes it: `spectral.peaks` and `spectral.tuning`."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from earshot.inputs import librosa_features

A0_HZ = 27.5
STEPS = 100  # in a semitone, as in librosa's `pitch_tuning`
TUNINGS = np.linspace(-0.5, 0.5, STEPS + 1)[:-1]  # semitones; the lower ends of its histogram's bins


class Tuning(nn.Module):
    """Number in `TUNINGS` of each window's tuning: power of bins, (B, T, F), -> (B,).

    A graph has as many values whatever the sound: a bin that is no peak has height 0.
    """

    def __init__(self, sample_rate: int, n_bins: int):
        super().__init__()
        lowest, highest = librosa_features.PITCHES_HZ
        self.per_bin = sample_rate / 2 / (n_bins - 1)
        self.first = math.ceil(lowest / self.per_bin)
        self.end = min(math.ceil(highest / self.per_bin), n_bins - 1)
        self.register_buffer("bins", torch.arange(self.first, self.end, dtype=torch.float32))

    def forward(self, power: torch.Tensor) -> torch.Tensor:
        """Return the most frequent deviation among the stronger half of all peaks; without a peak that is 0."""
        pitch, height = self._peaks(power)
        kept = (height > 0) & (height >= _median(height)[:, None, None])
        deviation = torch.remainder(12 * torch.log2(pitch / A0_HZ) + 0.5, 1)  # from the semitone below, plus a half
        step = (deviation * STEPS).long()
        counts = torch.zeros_like(power[:, 0, :1]).repeat(1, STEPS)
        counts = counts.scatter_add(1, step.flatten(1), kept.float().flatten(1))
        return torch.where(kept.flatten(1).any(dim=1), counts.argmax(dim=1), STEPS // 2)

    def _peaks(self, power: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return frequency in Hz and height at each bin that can be a peak: (B, T, F) -> two of (B, T, bins)."""
        before, here, after = (power[..., self.first + shift : self.end + shift] for shift in (-1, 0, 1))
        loudest = power.amax(dim=-1, keepdim=True)
        is_peak = (here > float(librosa_features.PEAK) * loudest) & (here > before) & (here >= after)
        slope, curvature = (after - before) / 2, after + before - 2 * here
        shift = torch.where(slope.abs() < curvature.abs(), -slope / curvature, 0)
        return (self.bins + shift) * self.per_bin, torch.where(is_peak, here + slope * shift / 2, 0)


def _median(height: torch.Tensor) -> torch.Tensor:
    """Return the median of what is not 0, and 0 where all is: (B, T, bins) -> (B,)."""
    n = (height > 0).sum(dim=(1, 2))[:, None]
    halved = functional.max_pool1d(height, 2, ceil_mode=True)  # of two neighbours one is a peak at most
    descending = halved.flatten(1).sort(dim=1, descending=True).values
    middle = torch.cat([(n - 1).clamp_min(0) // 2, n // 2], dim=1)
    return descending.gather(1, middle).mean(dim=1)
