"""The siren tutorial's CNN."""

from __future__ import annotations

import torch
from torch import nn

from earshot.errors import EarshotError
from earshot.models.fast.convolution import convolve
from earshot.models.fast.drop_and_pool import DropAndPool
from earshot.models.fast.max_over_time import MaxOverTime
from earshot.models.heads import n_outputs
from earshot.models.keras_init import keras_init

ROWS_AT_ONCE = 128000  # on a CPU: four windows of a waveform fit its cache, a whole batch of them does not


class CNN(nn.Module):
    """Convolutions over time, their maximum over time, a dense layer: (B, T, F) -> logits (B, 1) or (B, classes).

    Each convolution ("same" padding, ReLU) is followed by dropout and max-pooling by 2. The tutorial means two
    in a row, 8 filters x 13 and 16 x 11 (`as_described`). Its code connects both to the input, so that only the last
    one counts (`as_coded`): 481 parameters on the waveform.
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
    ):
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
        layers = list(zip(filters, kernels, strict=True))
        layers = layers if wiring == "as_described" else layers[-1:]
        channels = [n_bins, *(count for count, _ in layers)]
        convolutions = [
            nn.Conv1d(n_in, count, kernel, padding=kernel // 2)
            for n_in, (count, kernel) in zip(channels, layers, strict=False)
        ]
        self.convolutions = nn.ModuleList(convolutions[:-1])
        self.pool = DropAndPool(dropout)
        self.last = MaxOverTime(convolutions[-1], dropout)
        self.dense = nn.Linear(filters[-1], dense)
        self.output = nn.Linear(dense, n_outputs(n_classes))
        self.apply(keras_init)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (B, 1) for two classes, else (B, classes)."""
        x = x.transpose(1, 2)
        if x.shape[1] == 1:  # otherwise torch takes it for a batch of one column each, and convolves far slower
            x = x.clone(memory_format=torch.contiguous_format)
        if x.device.type == "cpu" and not torch.compiler.is_exporting():  # a graph has one number of parts
            parts = x.split(max(1, ROWS_AT_ONCE // x.shape[2]))
            highest = torch.cat([self._highest(part) for part in parts])
        else:
            highest = self._highest(x)
        return self.output(torch.relu(self.dense(highest)))

    def _highest(self, x: torch.Tensor) -> torch.Tensor:
        """Return each filter's highest output: (B, F, T) -> (B, filters)."""
        for convolution in self.convolutions:
            x = self.pool(convolve(convolution, x))
        return self.last(x)
