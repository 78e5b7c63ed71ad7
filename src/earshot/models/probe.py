"""A logistic regression on what a backbone hears in windows that were changed at random."""

from __future__ import annotations

import torch
from torch import nn

from earshot.models.linear import Linear
from earshot.models.mn import MN


class Probe(MN):
    """A linear probe from samples at 32 kHz to logits: (B, T, 1) -> (B, 1) for two classes, else (B, classes).

    The backbone stays as it is; a logistic regression on its embedding is solved for (Alain and Bengio 2016,
    arXiv:1610.01644), of the training windows and of `copies` of each, changed as `augmentation` says. So it learns
    what stays the same in other conditions and beside other sounds, which the input `embedding` can't teach.

    Where `members` says which of AudioSet's classes stand for the task's, its logits are averaged with the zero-shot
    ones (the output-space ensemble of Wortsman et al. 2022, arXiv:2109.01903).
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
        weight_decay: float,
        copies: int,
        zero_shot: float,
    ) -> None:
        """Take windows of shape (n_rows, n_bins).

        Parameters
        ----------
        backbone, width, members, threshold, level : see `MN`
        weight_decay : see `Linear`; a window and its copies count as one
        copies : changed ones of each training window, beside itself
        zero_shot : share of the zero-shot logits

        Raises
        ------
        EarshotError
            If a window is no samples.
        ValueError
            If a setting is wrong.
        """
        super().__init__(
            n_rows,
            n_bins,
            n_classes,
            backbone=backbone,
            width=width,
            members=members,
            threshold=threshold,
            level=level,
            blocks=0,
            lower=1.0,
            dropout=0.0,
        )
        if copies < 0 or weight_decay <= 0 or not 0 <= zero_shot < 1:
            raise ValueError(
                f"copies is {copies}, weight_decay {weight_decay} and zero_shot {zero_shot}; copies must be 0 or more, "
                "weight_decay above 0, and zero_shot a share of 0 or more and below 1"
            )
        self.copies = copies
        self.weight_decay, self.zero_shot = weight_decay * (copies + 1), zero_shot if members else 0.0
        self.output = nn.Linear(self.net.n_embedding, self.n_outputs)
        self.requires_grad_(False)

    def hidden(self, x: torch.Tensor) -> torch.Tensor:
        """Return the embeddings: (B, T, 1) -> (B, D)."""
        return self.net.embed(self.log_mel(x))

    @torch.no_grad()
    def probe(self, hidden: torch.Tensor, y: torch.Tensor) -> None:
        """Solve for the output, of the embeddings of windows and their copies, (N, D), and (N,) or (N, C).

        Each number is standardised over these first, and the output then takes them as they are.
        """
        mean, deviation = hidden.mean(dim=0), hidden.std(dim=0, correction=0).clamp_min(torch.finfo(hidden.dtype).tiny)
        linear = Linear(1, hidden.shape[1], max(2, self.n_outputs), weight_decay=self.weight_decay, factor=2)
        linear.solve(((hidden - mean) / deviation)[:, None], y, 0)
        weights = linear.output.weight / deviation
        self.output.weight.copy_(weights)
        self.output.bias.copy_(linear.output.bias - weights @ mean)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        embedding = self.hidden(x)
        logits: torch.Tensor = self.output(embedding)
        if self.zero_shot == 0:
            return logits
        return torch.lerp(logits, self.of_task(self.net.classifier(embedding)), self.zero_shot)
