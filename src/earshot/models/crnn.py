"""Convolutions over time and frequency, a recurrent layer where asked for, attention over time."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from earshot.errors import EarshotError
from earshot.models.heads import n_outputs

LEAST_BINS = 8  # fewer are no picture: there is nothing to convolve over


class CRNN(nn.Module):
    """Residual convolutions, a GRU, attention pooling: (B, T, F) -> logits (B, 1) or (B, classes).

    A window is seen as a picture of T times F. The first convolution and each block (He et al. 2016,
    arXiv:1512.03385) halve its frequencies, and while `halvings` last its time. What is left is averaged over
    frequency; a GRU with units goes over it in both directions (Cakir et al. 2017, arXiv:1702.06286). Each frame then
    has logits of its own, see `frames`; a window's are their mean, weighted for each class by an attention over time
    (Ilse et al. 2018, arXiv:1802.04712).
    """

    def __init__(
        self,
        n_rows: int,
        n_bins: int,
        n_classes: int,
        *,
        channels: list[int],
        halvings: int,
        units: int,
        dropout: float,
    ) -> None:
        """Take windows of shape (n_rows, n_bins).

        Parameters
        ----------
        channels : of the first convolution, then of each block
        halvings : of the time, at most as many as there are channels: 97 rows are 13 frames after 3
        units : of the GRU in each direction; 0 leaves it out
        dropout : share of the values before and after the GRU that is dropped in training

        Raises
        ------
        EarshotError
            If a window is no picture: one row, or few bins.
        """
        super().__init__()
        if n_rows == 1 or n_bins < LEAST_BINS:
            raise EarshotError(
                f"the CRNN takes pictures of {LEAST_BINS} bins and more over time, a window here is of shape "
                f"({n_rows}, {n_bins}): use input=log_mel"
            )
        strides = [(2 if number < halvings else 1, 2) for number in range(len(channels))]
        self.convolutions = nn.Sequential(
            _convolution(1, channels[0], 3, strides[0]),
            nn.ReLU(),
            *(Block(*sizes, stride) for sizes, stride in zip(pairwise(channels), strides[1:], strict=True)),
        )
        self.dropout = nn.Dropout(dropout)
        self.recurrent = nn.GRU(channels[-1], units, batch_first=True, bidirectional=True) if units else None
        n_features = 2 * units or channels[-1]
        self.output = nn.Linear(n_features, n_outputs(n_classes))
        self.attention = nn.Linear(n_features, n_outputs(n_classes))
        nn.init.zeros_(self.attention.weight)  # training begins with the plain mean
        nn.init.zeros_(self.attention.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (B, 1) for two classes, else (B, classes)."""
        features = self._features(x)
        weights = torch.softmax(self.attention(features), dim=1)
        return (weights * self.output(features)).sum(dim=1)

    def frames(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits of each frame: (B, T', 1) for two classes, else (B, T', classes)."""
        logits: torch.Tensor = self.output(self._features(x))
        return logits

    def _features(self, x: torch.Tensor) -> torch.Tensor:
        """Return what is known of each frame: (B, T, F) -> (B, T', features)."""
        x = self.convolutions(x[:, None]).mean(dim=3).transpose(1, 2)
        x = self.dropout(x)
        if self.recurrent is not None:
            outputs, _ = self.recurrent(x)
            x = self.dropout(outputs)
        return x


class Block(nn.Module):
    """Two convolutions, added to what goes in: (B, n_in, T, F) -> (B, n_out, T / stride, F / stride), rounded up."""

    def __init__(self, n_in: int, n_out: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _convolution(n_in, n_out, 3, stride), nn.ReLU(), _convolution(n_out, n_out, 3, (1, 1))
        )
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(stride, ceil_mode=True), _convolution(n_in, n_out, 1, (1, 1))
        )  # average, then project: He et al. 2019, arXiv:1812.01187

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the sum."""
        return functional.relu(self.layers(x) + self.shortcut(x))


def _convolution(n_in: int, n_out: int, kernel: int, stride: tuple[int, int]) -> nn.Sequential:
    """Return a convolution with "same" padding and batch normalisation."""
    return nn.Sequential(nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(n_out))
