"""The loss of a training step: soft targets, weights of classes."""

from __future__ import annotations

import torch
from torch.nn import functional

from earshot.augment import Mixing


class Loss:
    """Cross-entropy against shares of classes, in nats: the mean over windows, and over classes of multi-label ones.

    With class numbers made to targets, no smoothing and no weights it is `heads.loss`.
    """

    def __init__(self, n_classes: int, multi_label: bool, smoothing: float = 0.0, weights: torch.Tensor | None = None):
        """Take the share of a label that goes to all classes alike, and weights as `balanced` gives them."""
        self.n_classes, self.multi_label, self.smoothing, self.weights = n_classes, multi_label, smoothing, weights

    def targets(self, y: torch.Tensor, mixing: Mixing | None = None) -> torch.Tensor:
        """Return the shares of classes, (B, C), of class numbers (B,) or of multi-label targets (B, C), unsmoothed."""
        whole = y if self.multi_label else functional.one_hot(y, self.n_classes).float()
        return mixing.of(whole) if mixing else whole

    def __call__(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of logits, (B, 1) or (B, C), for shares of classes, (B, C)."""
        even = 0.5 if self.multi_label else 1 / self.n_classes
        soft = targets * (1 - self.smoothing) + even * self.smoothing  # Szegedy et al. 2016, arXiv:1512.00567
        if self.multi_label:
            weight = None
            if self.weights is not None:
                with_it, without = self.weights.to(logits.device)
                weight = targets * with_it + (1 - targets) * without
            return functional.binary_cross_entropy_with_logits(logits, soft, weight)
        if logits.shape[1] == 1:
            losses = functional.binary_cross_entropy_with_logits(logits[:, 0], soft[:, 1], reduction="none")
        else:
            losses = functional.cross_entropy(logits, soft, reduction="none")
        return losses.mean() if self.weights is None else (losses * (targets @ self.weights.to(logits.device))).mean()


def balanced(labels: torch.Tensor, n_classes: int) -> torch.Tensor:
    """Return weights that make all classes count alike, with a mean of 1 over the windows.

    n / (C * n_c) for n windows, n_c of them of class c (King and Zeng 2001; scikit-learn's "balanced").

    Parameters
    ----------
    labels : class numbers (B,), or multi-label targets (B, C), of which each class is weighed by itself

    Returns
    -------
    float32, (C,); of multi-label targets (2, C): of windows with the class, and of those without it
    """
    if labels.ndim == 2:
        with_it = labels.sum(dim=0)
        return len(labels) / (2 * torch.stack([with_it, len(labels) - with_it]).clamp_min(1))
    return len(labels) / (n_classes * torch.bincount(labels, minlength=n_classes).clamp_min(1)).float()
