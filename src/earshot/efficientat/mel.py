"""The log-mel spectrogram that EfficientAT's networks were trained on."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

SAMPLE_RATE = 32000
N_FFT, WINDOW, HOP = 1024, 800, 320  # samples
N_MELS = 128
HIGHEST_HZ = 15000.0
PRE_EMPHASIS = 0.97
LEAST = 1e-5  # power
SHIFT, SCALE = 4.5, 5.0


def mel_filters() -> torch.Tensor:
    """Return triangles that are even in HTK's mel scale, 1127 ln(1 + f / 700), as kaldi's: shape (bins, bands)."""
    frequencies = torch.arange(N_FFT // 2 + 1, dtype=torch.float64) * SAMPLE_RATE / N_FFT
    mel = 1127 * torch.log1p(frequencies / 700)
    step = _mel(HIGHEST_HZ) / (N_MELS + 1)
    left = torch.arange(N_MELS, dtype=torch.float64) * step
    rising = (mel[:, None] - left) / step
    return torch.minimum(rising, 2 - rising).clamp(min=0).float()


def n_below(highest_hz: float) -> int:
    """Return how many of the mel bands end at a frequency or below it."""
    step = _mel(HIGHEST_HZ) / (N_MELS + 1)
    return max(0, min(N_MELS, int(_mel(highest_hz) / step) - 1)) if highest_hz > 0 else 0


def _mel(hz: float) -> float:
    return 1127 * math.log1p(hz / 700)


class MelFrontEnd(nn.Module):
    """Samples at 32 kHz -> log-mel spectrogram: (B, n) -> (B, 128, T), T = 1 + (n - 1) // 320.

    Pre-emphasis of 0.97, centred frames (reflected at both ends) of 800 samples under a symmetric Hann window every
    320 samples, power, 128 mel bands from 0 to 15 kHz, ln(x + 1e-5), (x + 4.5) / 5; as in EfficientAT.
    """

    window: torch.Tensor
    filters: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        beside = (N_FFT - WINDOW) // 2
        window = functional.pad(torch.hann_window(WINDOW, periodic=False), (beside, beside))
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("filters", mel_filters(), persistent=False)

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """Return the log-mel spectrogram of each row of samples."""
        emphasised = samples[:, 1:] - PRE_EMPHASIS * samples[:, :-1]
        padded = functional.pad(emphasised[:, None], (N_FFT // 2, N_FFT // 2), mode="reflect")[:, 0]
        spectrum = torch.fft.rfft(padded.unfold(1, N_FFT, HOP) * self.window)
        power = spectrum.real.square() + spectrum.imag.square()
        return ((torch.log(power @ self.filters + LEAST) + SHIFT) / SCALE).mT
