"""Scaling by the training part's statistics."""

from __future__ import annotations

import torch
from torch import nn


class Standardiser(nn.Module):
    """Zero mean and unit deviation for each of F features: (..., F) -> (..., F).

    Until `set` is called it changes nothing. Mean and deviation are kept with the weights.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, n_bins: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_bins))
        self.register_buffer("deviation", torch.ones(n_bins))

    def set(self, mean: torch.Tensor, deviation: torch.Tensor) -> None:
        """Take statistics of shape (F,). A feature that never changes in training is not divided by zero."""
        self.mean.copy_(mean)
        self.deviation.copy_(torch.where(deviation > 1e-6, deviation, 1.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scale x."""
        return (x - self.mean) / self.deviation
