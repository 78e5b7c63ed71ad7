"""The log spectrogram's rows as torch computes them."""

from __future__ import annotations

import torch
from torch import nn

from earshot.audio import spectrum
from earshot.deploy.onnx.frames import frames_of
from earshot.deploy.onnx.power_spectrum import PowerSpectrum
from earshot.inputs import LogSpectrogram


class LogSpectrogramRows(nn.Module):
    """`LogSpectrogram.extract`: (B, samples) -> float64, (B, T, F).

    In float64, since of a bin that hardly moves `finish` leaves some rounding.
    """

    def __init__(self, built: LogSpectrogram):
        super().__init__()
        self.hop, self.eps = built.hop_length, built.eps
        window, scale = spectrum.tukey(built.nperseg, built.sample_rate)
        self.register_buffer("window", torch.from_numpy(window).double())
        self.register_buffer("scale", torch.from_numpy(scale).double())
        self.power = PowerSpectrum(built.nperseg, torch.float64)

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """Return the rows."""
        frames = frames_of(samples, len(self.window), self.hop).double()
        frames = (frames - frames.mean(dim=-1, keepdim=True)) * self.window
        return torch.log1p(self.power(frames) * self.scale / self.eps)
