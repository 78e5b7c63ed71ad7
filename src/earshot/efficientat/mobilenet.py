"""MobileNetV3 on log-mel spectrograms, as EfficientAT trained it on AudioSet."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

DIVISOR = 8  # channels are multiples of it
EXPANSION = 6  # of the last convolution: its outputs, averaged over time and frequency, are the embedding
STRIDE = 32  # of its last feature map, in mel frames and bands
LAST = 1280  # units of the hidden layer, at width 1
BATCH_NORM = {"eps": 0.001, "momentum": 0.01}


class Block(NamedTuple):
    """One inverted residual block, its channels at width 1 (table 1 of the paper)."""

    kernel: int
    expanded: int
    out: int
    squeeze: bool
    activation: type[nn.Module]
    stride: int


FIRST = 16  # channels of the first convolution, at width 1
BLOCKS = (
    Block(3, 16, 16, False, nn.ReLU, 1),
    Block(3, 64, 24, False, nn.ReLU, 2),
    Block(3, 72, 24, False, nn.ReLU, 1),
    Block(5, 72, 40, True, nn.ReLU, 2),
    Block(5, 120, 40, True, nn.ReLU, 1),
    Block(5, 120, 40, True, nn.ReLU, 1),
    Block(3, 240, 80, False, nn.Hardswish, 2),
    Block(3, 200, 80, False, nn.Hardswish, 1),
    Block(3, 184, 80, False, nn.Hardswish, 1),
    Block(3, 184, 80, False, nn.Hardswish, 1),
    Block(3, 480, 112, True, nn.Hardswish, 1),
    Block(3, 672, 112, True, nn.Hardswish, 1),
    Block(5, 672, 160, True, nn.Hardswish, 2),
    Block(5, 960, 160, True, nn.Hardswish, 1),
    Block(5, 960, 160, True, nn.Hardswish, 1),
)


def channels(number: float) -> int:
    """Round a number of channels to a multiple of 8, never by more than a tenth downwards."""
    rounded = max(DIVISOR, int(number + DIVISOR / 2) // DIVISOR * DIVISOR)
    return rounded + DIVISOR if rounded < 0.9 * number else rounded


def convolution(
    n_in: int, n_out: int, kernel: int, stride: int = 1, groups: int = 1, activation: type[nn.Module] | None = None
) -> nn.Sequential:
    """Return a convolution without bias, its batch norm and, where one is named, an activation."""
    layers = [
        nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(n_out, **BATCH_NORM),
    ]
    return nn.Sequential(*layers, *([activation()] if activation else []))


class SqueezeExcitation(nn.Module):
    """Weigh channels by what they hold on the whole (Hu et al. 2018, arXiv:1709.01507)."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        squeezed = channels(n_channels // 4)
        self.fc1 = nn.Linear(n_channels, squeezed)
        self.fc2 = nn.Linear(squeezed, n_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scale x, shape (B, C, F, T)."""
        weights = torch.sigmoid(self.fc2(torch.relu(self.fc1(x.mean(dim=(2, 3))))))
        return x * weights[:, :, None, None]


class InvertedResidual(nn.Module):
    """Expand, convolve each channel by itself, squeeze and excite, project."""

    def __init__(self, n_in: int, block: Block, width: float) -> None:
        super().__init__()
        expanded, out = channels(block.expanded * width), channels(block.out * width)
        layers: list[nn.Module] = []
        if expanded != n_in:
            layers.append(convolution(n_in, expanded, 1, activation=block.activation))
        layers.append(
            convolution(expanded, expanded, block.kernel, block.stride, groups=expanded, activation=block.activation)
        )
        if block.squeeze:
            layers.append(SqueezeExcitation(expanded))
        self.block = nn.Sequential(*layers, convolution(expanded, out, 1))
        self.residual = block.stride == 1 and n_in == out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (B, C, F, T), the input added where its shape is the same."""
        y: torch.Tensor = self.block(x)
        return y + x if self.residual else y


class MobileNet(nn.Module):
    """MobileNetV3-Large with one input channel: log-mel (B, F, T) -> logits (B, classes).

    Howard et al. 2019, arXiv:1905.02244, in the sizes of EfficientAT (Schmid, Koutini and Widmer 2023,
    arXiv:2211.04772): all channels times `width`. At width 0.4 it has 983,599 parameters with AudioSet's 527 classes.
    """

    def __init__(self, width: float, n_classes: int, dropout: float = 0.2) -> None:
        """Take the width and the number of classes."""
        super().__init__()
        first = channels(FIRST * width)
        layers: list[nn.Module] = [convolution(1, first, 3, 2, activation=nn.Hardswish)]
        for block in BLOCKS:
            layers.append(InvertedResidual(first, block, width))
            first = channels(block.out * width)
        self.n_embedding = EXPANSION * first
        layers.append(convolution(first, self.n_embedding, 1, activation=nn.Hardswish))
        self.features = nn.Sequential(*layers)
        hidden = channels(LAST * width)
        self.classifier = nn.Sequential(
            nn.Linear(self.n_embedding, hidden), nn.Hardswish(), nn.Dropout(dropout), nn.Linear(hidden, n_classes)
        )

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """Return the embedding of each log-mel spectrogram: (B, F, T) -> (B, D)."""
        embedding: torch.Tensor = self.features(x[:, None]).mean(dim=(2, 3))
        return embedding

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        logits: torch.Tensor = self.classifier(self.embed(x))
        return logits
