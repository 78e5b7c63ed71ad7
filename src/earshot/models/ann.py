"""The genre tutorial's ANN."""

from __future__ import annotations

import torch
from torch import nn

from earshot.errors import EarshotError
from earshot.models.keras_init import keras_init


class ANN(nn.Module):
    """Dense layers with ReLU on one row of features: (B, 1, F) -> logits (B, classes).

    The tutorial has hidden layers of 256, 128 and 64.
    """

    def __init__(self, n_rows: int, n_bins: int, n_classes: int, *, hidden: list[int]) -> None:
        """Take windows of shape (n_rows, n_bins).

        Raises
        ------
        EarshotError
            If a window has more than one row: the ANN has no notion of time.
        """
        super().__init__()
        if n_rows != 1:
            raise EarshotError(f"the ANN takes one row of features, a window here has {n_rows}: use input=summary")
        layers: list[nn.Module] = []
        for n_in, n_out in zip([n_bins, *hidden], hidden, strict=False):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden[-1], n_classes))
        self.apply(keras_init)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (B, classes)."""
        logits: torch.Tensor = self.layers(x[:, 0])
        return logits
