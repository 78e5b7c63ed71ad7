"""EfficientAT's network, trained on: it begins with what it has learnt from AudioSet."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from earshot.efficientat import level as levels
from earshot.efficientat.mel import MelFrontEnd
from earshot.efficientat.mobilenet import MobileNet
from earshot.errors import EarshotError
from earshot.models import known_classes
from earshot.models.heads import n_outputs
from earshot.models.linear import Linear

OUTPUT = "classifier.3."  # of the names of the weights
PROBE_WEIGHT_DECAY = 100.0


class MN(nn.Module):
    """A backbone from samples at 32 kHz to logits: (B, T, 1) -> (B, 1) for two classes, else (B, classes).

    Where `members` says which of AudioSet's classes stand for the task's, training begins with their outputs: at first
    the model is the zero-shot one. Else it begins with a new output, and trains that alone at first (linear probe, then
    fine-tuning: Kumar et al. 2022, arXiv:2202.10054).

    Batch norms keep the statistics of AudioSet: those of a few recordings would tell how they were recorded.
    """

    def __init__(
        self,
        n_rows: int,
        n_bins: int,
        n_classes: int,
        *,
        backbone: str,
        width: float,
        members: list[list[int]] | None,
        threshold: float,
        level: float | None,
        blocks: int,
        lower: float,
        dropout: float,
    ) -> None:
        """Take windows of shape (n_rows, n_bins).

        Parameters
        ----------
        backbone, width : whose weights it begins with, and its width
        members : for each class the numbers of AudioSet's classes that stand for it, none for "*"; None: a new output
        threshold : probability of the highest of them, below which a window is "*"
        level : RMS in dB below full scale to which each window is brought first; None: it stays as loud as it is
        blocks : how many of the network's 17 blocks are trained, the last ones; the layers after them always are
        lower : the learning rate of what has been trained before, as a share of that of a new output
        dropout : share of the hidden layer's outputs that is dropped in training

        Raises
        ------
        EarshotError
            If a window is no samples.
        ValueError
            If a setting is wrong.
        """
        super().__init__()
        if n_bins != 1:
            raise EarshotError("mn takes samples at 32 kHz: use input=waveform_32k")
        self.members, self.rest, self.lower = members, known_classes.logit(threshold), lower
        self.n_outputs, self.level = n_outputs(n_classes), levels.checked(level)
        self.copies = None if members else 0  # see `training.pretrained.begin`: a new output is solved for
        self.front = MelFrontEnd()
        self.net = MobileNet(width, sum(map(len, members)) if members else self.n_outputs, dropout)
        if not 0 <= blocks <= len(self.net.features):
            raise ValueError(f"blocks is {blocks}, and must be from 0 to {len(self.net.features)}")
        for block in list(self.net.features)[: len(self.net.features) - blocks]:
            block.requires_grad_(False)

    @classmethod
    def completed(
        cls,
        settings: Mapping[str, Any],
        labels: Mapping[str, Any] | None,
        classes: Sequence[str],
        known: Sequence[str] | None,
    ) -> dict[str, Any]:
        """Return settings with `members`, the numbers of AudioSet's classes that `labels` names; None without labels.

        Raises
        ------
        ValueError
            If they don't fit the classes or the backbone.
        """
        return {**settings, "members": known_classes.members_of(labels, classes, known or []) if labels else None}

    def begin(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Take the backbone's weights: all but its output, of which the rows of `members`."""
        own = dict(weights)
        for name in (f"{OUTPUT}weight", f"{OUTPUT}bias"):
            if self.members:
                own[name] = own[name][[number for numbers in self.members for number in numbers]]
            else:
                own[name] = self.net.state_dict()[name]
        self.net.load_state_dict(own)

    def log_mel(self, x: torch.Tensor) -> torch.Tensor:
        """Return the log-mel spectrogram of each window, at the level: (B, T, 1) -> (B, 128, frames)."""
        samples = x[:, :, 0]
        if self.level is not None:
            samples = samples * levels.gains(samples.square().mean(dim=1, keepdim=True), self.level)
        found: torch.Tensor = self.front(samples)
        return found

    def hidden(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the output is computed from: (B, T, 1) -> (B, H)."""
        hidden: torch.Tensor = self.net.classifier[:-1](self.net.embed(self.log_mel(x)))
        return hidden

    @torch.no_grad()
    def probe(self, hidden: torch.Tensor, y: torch.Tensor) -> None:
        """Set a new output to the logistic regression of the training windows, (N, H) and (N,) or (N, C)."""
        probe = Linear(1, hidden.shape[1], max(2, self.n_outputs), weight_decay=PROBE_WEIGHT_DECAY, factor=2)
        probe.solve(hidden[:, None], y, 0)
        self.net.classifier[-1].load_state_dict(probe.output.state_dict())

    def train(self, mode: bool = True) -> MN:
        """Switch to training or prediction; batch norms stay as in prediction."""
        super().train(mode)
        for layer in self.net.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eval()
        return self

    def parameter_groups(self, rate: float) -> list[dict[str, Any]]:
        """Return torch's parameter groups: what has been trained before at a lower rate."""
        new = set() if self.members else {id(parameter) for parameter in self.net.classifier[3].parameters()}
        trained = [p for p in self.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in trained if id(p) not in new], "lr": rate * self.lower},
            {"params": [p for p in trained if id(p) in new], "lr": rate},
        ]
        return [group for group in groups if group["params"]]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        return self.of_task(self.net(self.log_mel(x)))

    def of_task(self, scores: torch.Tensor) -> torch.Tensor:
        """Return the logits of the task's classes, of those of the network's output."""
        if not self.members:
            return scores
        ends = itertools.accumulate(map(len, self.members), initial=0)
        places = [list(range(first, end)) for first, end in itertools.pairwise(ends)]
        return known_classes.highest(scores, places, self.rest, self.n_outputs)
