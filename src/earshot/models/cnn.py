"""The siren tutorial's CNN."""

from __future__ import annotations

import torch
from torch import nn

from earshot.errors import EarshotError
from earshot.models.heads import n_outputs
from earshot.models.keras_init import keras_init


class CNN(nn.Module):
    """Convolutions over time, their maximum over time, a dense layer: (B, T, F) -> logits (B, 1) or (B, classes).

    Each convolution ("same" padding, ReLU) is followed by dropout and max-pooling by 2. The tutorial means two
    in a row, 8 filters x 13 and 16 x 11 (`as_described`). Its code connects both to the input, so that only the last
    one counts (`as_coded`): 481 parameters on the waveform.

    `earshot.models.fast` computes the same faster.
    """

    def __init__(
        self,
        n_rows: int,
        n_bins: int,
        n_classes: int,
        *,
        filters: list[int],
        kernels: list[int],
        dropout: float,
        dense: int,
        wiring: str,
    ) -> None:
        """Take windows of shape (n_rows, n_bins).

        Parameters
        ----------
        filters, kernels : of each convolution: how many, and how many rows long; a kernel is odd
        dropout : share of a convolution's outputs that is dropped in training
        dense : units of the dense layer
        wiring : "as_coded" or "as_described"

        Raises
        ------
        EarshotError
            If a window is shorter than a kernel.
        """
        super().__init__()
        if n_rows < max(kernels):
            raise EarshotError(
                f"the CNN runs over time with kernels of {max(kernels)} rows, a window here has {n_rows}: use model=ann"
            )
        first = 0 if wiring == "as_described" else len(filters) - 1
        channels = [n_bins, *filters[first:]]
        self.convolutions = nn.ModuleList(
            nn.Conv1d(n_in, n_out, kernel, padding=kernel // 2)
            for n_in, n_out, kernel in zip(channels[:-1], channels[1:], kernels[first:], strict=True)
        )
        self.dropout = nn.Dropout(dropout)
        self.pool = nn.MaxPool1d(2)
        self.dense = nn.Linear(filters[-1], dense)
        self.output = nn.Linear(dense, n_outputs(n_classes))
        self.apply(keras_init)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (B, 1) for two classes, else (B, classes)."""
        x = x.transpose(1, 2)
        for convolution in self.convolutions:
            x = self.pool(self.dropout(torch.relu(convolution(x))))
        x = x.amax(dim=-1)
        logits: torch.Tensor = self.output(torch.relu(self.dense(x)))
        return logits
