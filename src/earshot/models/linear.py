"""Logistic regression, for numbers that a network has learnt elsewhere."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from earshot.errors import EarshotError
from earshot.models.heads import n_outputs

MOST_STEPS = 1000  # of the solver, which ends sooner


class Linear(nn.Module):
    """Logistic regression on one row of numbers: (B, 1, F) -> logits (B, 1) for two classes, else (B, classes).

    The sum of the training windows' cross-entropies plus weight_decay / 2 times the squared weights is minimised, by
    scikit-learn. Epoch k of a training is the solution for `weight_decay` / `factor` ** k, from strong to weak; the
    validation loss chooses among them.
    """

    def __init__(self, n_rows: int, n_bins: int, n_classes: int, *, weight_decay: float, factor: float) -> None:
        """Take windows of shape (n_rows, n_bins).

        Raises
        ------
        EarshotError
            If a window has more than one row.
        ValueError
            If the weight decay is not above 0, or the factor not above 1.
        """
        super().__init__()
        if n_rows != 1:
            raise EarshotError(f"linear takes one row of numbers, a window here has {n_rows}: use input=embedding")
        if weight_decay <= 0 or factor <= 1:
            raise ValueError(f"weight_decay is {weight_decay} and factor {factor}; they must be above 0 and above 1")
        self.weight_decay, self.factor = weight_decay, factor
        self.output = nn.Linear(n_bins, n_outputs(n_classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        logits: torch.Tensor = self.output(x[:, 0])
        return logits

    @torch.no_grad()
    def solve(self, x: torch.Tensor, y: torch.Tensor, epoch: int) -> None:
        """Set the weights to the solution for the weight decay of an epoch, from 0.

        Parameters
        ----------
        x, y : all training windows, (N, 1, F), and their classes, (N,), or sets of classes, (N, C)
        """
        rows, y = x[:, 0].double().cpu().numpy(), y.cpu()  # scikit-learn's
        strength = self.factor**epoch / self.weight_decay
        if y.ndim == 2:
            found = [_solution(rows, labels, strength) for labels in y.T.numpy().astype(int)]
            weights, biases = (np.concatenate(parts) for parts in zip(*found, strict=True))
        else:
            weights, biases = _solution(rows, y.numpy(), strength)
        n_found = len(weights)
        if n_found != len(self.output.bias):
            raise EarshotError("a class has no training window in this fold, so it can't be told from others")
        self.output.weight.copy_(torch.from_numpy(weights))
        self.output.bias.copy_(torch.from_numpy(biases))


def _solution(rows: np.ndarray, labels: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Return weights, (outputs, F), and biases, (outputs,); of labels that are all the same the weights are 0."""
    from sklearn.linear_model import LogisticRegression  # it takes a second, and only training needs it

    if len(np.unique(labels)) == 1:
        return np.zeros((1, rows.shape[1])), np.full(1, 10.0 if labels[0] else -10.0)
    found = LogisticRegression(C=strength, max_iter=MOST_STEPS).fit(rows, labels)
    return found.coef_, found.intercept_
