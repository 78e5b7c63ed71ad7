"""Mel bands in decibels as torch computes them."""

from __future__ import annotations

import math

import torch
from librosa import filters
from torch import nn


class MelDecibels(nn.Module):
    """`spectrum.mel` and `spectrum.decibels`: power of bins, (B, T, F), -> level of mel bands, (B, T, n_mels)."""

    def __init__(self, sample_rate: int, n_fft: int, n_mels: int):
        super().__init__()
        weights = filters.mel(sr=sample_rate, n_fft=n_fft, n_mels=n_mels)
        self.register_buffer("weights", torch.from_numpy(weights.T.copy()))

    def forward(self, power: torch.Tensor) -> torch.Tensor:
        """Return the levels in dB."""
        return (power @ self.weights).clamp_min(1e-10).log() * (10 / math.log(10))
