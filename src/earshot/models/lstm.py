"""The siren tutorial's LSTM."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from earshot.errors import EarshotError
from earshot.models.heads import n_outputs
from earshot.models.keras_init import keras_init


class LSTM(nn.Module):
    """Recurrent layers, their last output, a dense layer: (B, T, F) -> logits (B, 1) or (B, classes).

    The tutorial means layers of 128, 128 and 64 units in a row (`as_described`). Its code connects each of them to
    the input, so that only the last one counts (`as_coded`).
    """

    def __init__(
        self,
        n_rows: int,
        n_bins: int,
        n_classes: int,
        *,
        units: list[int],
        dropout: float,
        dense: int,
        samples_per_step: int,
        wiring: str,
    ) -> None:
        """Take windows of shape (n_rows, n_bins).

        Parameters
        ----------
        units : of each recurrent layer
        dropout : share of a layer's outputs that is dropped in training
        dense : units of the dense layer
        samples_per_step : a waveform, (T, 1), is seen as (T / samples_per_step, samples_per_step)
        wiring : "as_coded" or "as_described"

        Raises
        ------
        EarshotError
            If a window has one row only, or a waveform can't be cut into whole steps.
        """
        super().__init__()
        if n_rows == 1:
            raise EarshotError("the LSTM runs over time, a window here is one row of features: use model=ann")
        if n_bins == 1 and n_rows % samples_per_step:
            raise EarshotError(
                f"model.samples_per_step ({samples_per_step}) does not divide a window of {n_rows} samples"
            )
        self.step = samples_per_step if n_bins == 1 else n_bins
        sizes = [self.step, *units] if wiring == "as_described" else [self.step, units[-1]]
        self.recurrent = nn.ModuleList(nn.LSTM(n_in, n_out, batch_first=True) for n_in, n_out in pairwise(sizes))
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(units[-1], dense)
        self.output = nn.Linear(dense, n_outputs(n_classes))
        self.apply(keras_init)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (B, 1) for two classes, else (B, classes)."""
        x = x.reshape(x.shape[0], -1, self.step)  # not len(x): an exported graph would hold the number
        for layer in self.recurrent:
            outputs, _ = layer(x)
            x = self.dropout(outputs)
        logits: torch.Tensor = self.output(torch.relu(self.dense(x[:, -1])))
        return logits
