"""The rows of the waveform, the log spectrogram and the log-mel spectrogram as torch computes them."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from earshot.audio import spectrum
from earshot.audio.decode import FULL_SCALE
from earshot.deploy.onnx.layers import MelDecibels, PowerSpectrum, frames_of
from earshot.inputs import LogMel, LogSpectrogram, Waveform


class WaveformRows(nn.Module):
    """`Waveform.extract`: samples rounded to 16 bit, (B, samples) -> (B, T, 1)."""

    def __init__(self, built: Waveform):  # every `Rows` takes its input
        super().__init__()

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """Return the rows."""
        scaled = torch.round(samples * FULL_SCALE)  # halves to the even number, as numpy does
        return scaled.clamp(-FULL_SCALE, FULL_SCALE - 1)[..., None]


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


class LogMelRows(nn.Module):
    """`LogMel.extract`: (B, samples) -> (B, T, F).

    As there, float64 up to the power of a bin: bands a hundred decibels below the loudest are still right.
    """

    def __init__(self, built: LogMel):
        super().__init__()
        self.hop = built.hop_length
        self.register_buffer("window", torch.from_numpy(spectrum.hann(built.n_fft, np.float64)))
        self.power = PowerSpectrum(built.n_fft, torch.float64)
        self.decibels = MelDecibels(built.sample_rate, built.n_fft, built.n_mels)

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """Return the rows."""
        frames = frames_of(samples, len(self.window), self.hop).double() * self.window
        return self.decibels(self.power(frames).float())
