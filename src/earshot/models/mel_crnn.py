"""A CRNN that makes its own log-mel spectrogram of samples, so that training can change the sound itself."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from earshot.efficientat import level as levels
from earshot.efficientat import mel
from earshot.errors import EarshotError
from earshot.models.crnn import CRNN, LEAST_BINS


class MelCRNN(nn.Module):
    """Samples at 32 kHz, log-mel spectrogram, CRNN: (B, T, 1) -> logits (B, 1) or (B, classes).

    Each window is brought to one level, and the bands above `highest_hz` are left out: how loud a class was recorded,
    and up to which frequency, tells it in one dataset and nowhere else. In training stretches of the spectrogram are
    hidden (Park et al. 2019, arXiv:1904.08779).
    """

    sample_rate: ClassVar[int] = mel.SAMPLE_RATE  # of the samples it takes, in Hz

    def __init__(
        self,
        n_rows: int,
        n_bins: int,
        n_classes: int,
        *,
        level: float | None,
        highest_hz: float,
        masks: int,
        time_share: float,
        frequency_share: float,
        channels: list[int],
        halvings: int,
        units: int,
        dropout: float,
    ) -> None:
        """Take windows of shape (n_rows, n_bins).

        Parameters
        ----------
        level : RMS in dB below full scale to which each window is brought first; None: it stays as loud as it is
        highest_hz : the upper edge of the highest mel band that is heard
        masks : stretches of time that are hidden in training, and as many bands of frequencies
        time_share, frequency_share : the longest of them, as shares of the whole
        channels, halvings, units, dropout : see `CRNN`

        Raises
        ------
        EarshotError
            If a window is no samples.
        ValueError
            If a setting is wrong.
        """
        super().__init__()
        if n_bins != 1:
            raise EarshotError("mel_crnn takes samples at 32 kHz: use input=waveform_32k")
        self.level, self.front = levels.checked(level), mel.MelFrontEnd()
        self.n_bands = mel.n_below(highest_hz)
        if self.n_bands < LEAST_BINS:
            raise ValueError(f"highest_hz is {highest_hz}, and must leave {LEAST_BINS} mel bands at least")
        self.norm = nn.BatchNorm1d(self.n_bands)
        self.masks = nn.Sequential(
            *(Hidden(dim, share) for dim, share in ((2, time_share), (1, frequency_share)) for _ in range(masks))
        )
        self.net = CRNN(
            n_rows // mel.HOP,
            self.n_bands,
            n_classes,
            channels=channels,
            halvings=halvings,
            units=units,
            dropout=dropout,
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        logits: torch.Tensor = self.net(self.log_mel(x))
        return logits

    def frames(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits of each frame: (B, T', 1) for two classes, else (B, T', classes)."""
        return self.net.frames(self.log_mel(x))

    def log_mel(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the CRNN hears of each window: (B, T, 1) -> (B, frames, bands)."""
        samples = x[:, :, 0]
        if self.level is not None:
            samples = samples * levels.gains(samples.square().mean(dim=1, keepdim=True), self.level)
        heard: torch.Tensor = self.masks(self.norm(self.front(samples)[:, : self.n_bands]))
        return heard.mT


class Hidden(nn.Module):
    """In training, hide a stretch of each window, of 0 up to `share` of a dimension, with zero: (B, F, T) -> as is."""

    def __init__(self, dim: int, share: float):
        """Take the dimension, and the share.

        Raises
        ------
        ValueError
            If the share is none.
        """
        super().__init__()
        if not 0 <= share <= 1:
            raise ValueError(f"time_share and frequency_share are shares from 0 to 1, not {share}")
        self.dim, self.share = dim, share

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the windows."""
        if not self.training or self.share == 0:
            return x
        size = x.shape[self.dim]
        width = (torch.rand(len(x), 1, device=x.device) * self.share * size).round()
        start = (torch.rand(len(x), 1, device=x.device) * (size - width + 1)).floor()
        place = torch.arange(size, device=x.device)
        hidden = (place >= start) & (place < start + width)
        return x.masked_fill(hidden.unsqueeze(3 - self.dim), 0.0)
