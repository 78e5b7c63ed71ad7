"""The CNN with its layers computed together."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from earshot.models.cnn import CNN
from earshot.models.fast.convolution import convolve
from earshot.models.fast.drop_and_pool import DropAndPool
from earshot.models.fast.max_over_time import MaxOverTime

ROWS_AT_ONCE = 128000  # on a CPU: four windows of a waveform fit its cache, a whole batch of them does not


class FastCNN(nn.Module):
    """What a `CNN` computes, with its layers and so its weights: (B, T, F) -> logits (B, 1) or (B, classes)."""

    def __init__(self, plain: CNN) -> None:
        """Take over the layers of a CNN."""
        super().__init__()
        self.convolutions, self.dense, self.output = plain.convolutions, plain.dense, plain.output
        self.drop_and_pool = DropAndPool(plain.dropout.p)
        self.max_over_time = MaxOverTime(plain.dropout.p)
        self.train(plain.training)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (B, 1) for two classes, else (B, classes)."""
        x = x.transpose(1, 2)
        if x.shape[1] == 1:  # otherwise torch takes it for a batch of one column each, and convolves far slower
            x = x.clone(memory_format=torch.contiguous_format)
        if x.device.type == "cpu" and not torch.compiler.is_exporting():  # a graph has one number of parts
            parts = torch.split(x, max(1, ROWS_AT_ONCE // x.shape[2]))
            highest = torch.cat([self._highest(part) for part in parts])
        else:
            highest = self._highest(x)
        logits: torch.Tensor = self.output(torch.relu(self.dense(highest)))
        return logits

    def _highest(self, x: torch.Tensor) -> torch.Tensor:
        """Return each filter's highest output: (B, F, T) -> (B, filters)."""
        *before, last = self.convolutions
        for convolution in before:
            x = self.drop_and_pool(convolve(cast(nn.Conv1d, convolution), x))
        highest: torch.Tensor = self.max_over_time(last, x)
        return highest
