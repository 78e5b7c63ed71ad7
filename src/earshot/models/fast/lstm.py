"""The LSTM, a stretch of each window at a time."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from earshot.models.fast.dropout import kept, share
from earshot.models.lstm import LSTM

FRAMES_AT_ONCE = 3200  # of all windows of a batch: of more, oneDNN computes forward and backward by a slower way


class FastLSTM(nn.Module):
    """What an `LSTM` computes, with its layers and so its weights: (B, T, F) -> logits (B, 1) or (B, classes)."""

    def __init__(self, plain: LSTM) -> None:
        """Take over the layers of an LSTM."""
        super().__init__()
        self.step, self.p = plain.step, share(plain.dropout.p)
        self.recurrent, self.dense, self.output = plain.recurrent, plain.dense, plain.output
        self.train(plain.training)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (B, 1) for two classes, else (B, classes)."""
        x = x.reshape(x.shape[0], -1, self.step)  # not len(x): an exported graph would hold the number
        *before, last = (cast(nn.LSTM, layer) for layer in self.recurrent)
        for layer in before:
            x = self._dropped(self._outputs(layer, x))
        x = self._dropped(self._outputs(last, x)[:, -1])
        logits: torch.Tensor = self.output(torch.relu(self.dense(x)))
        return logits

    def _outputs(self, layer: nn.LSTM, x: torch.Tensor) -> torch.Tensor:
        """Return `layer(x)[0]`; in training some frames at a time, each stretch from where the one before it ended."""
        outputs, state = [], None
        for stretch in x.split(max(1, FRAMES_AT_ONCE // len(x)), dim=1) if self.training else [x]:
            output, state = layer(stretch, state)
            outputs.append(output)
        return torch.cat(outputs, dim=1) if self.training else outputs[0]

    def _dropped(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.p == 0:
            return x
        return x * (kept(x.shape, self.p, x.device) / (1 - self.p))
