"""The waveform's rows as torch computes them."""

from __future__ import annotations

import torch
from torch import nn

from earshot.audio.decode import FULL_SCALE
from earshot.inputs import Waveform


class WaveformRows(nn.Module):
    """`Waveform.extract`: samples rounded to 16 bit, (B, samples) -> (B, T, 1)."""

    def __init__(self, built: Waveform):  # every `Rows` takes its input
        super().__init__()

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """Return the rows."""
        scaled = torch.round(samples * FULL_SCALE)  # halves to the even number, as numpy does
        return scaled.clamp(-FULL_SCALE, FULL_SCALE - 1)[..., None]
