"""The log-mel spectrogram's rows as torch computes them."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from earshot.audio import spectrum
from earshot.deploy.onnx.frames import frames_of
from earshot.deploy.onnx.mel import MelDecibels
from earshot.deploy.onnx.power_spectrum import PowerSpectrum
from earshot.inputs import LogMel


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
