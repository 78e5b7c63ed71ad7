"""How many outputs a model has, and what they mean."""

from __future__ import annotations

import torch
from torch.nn import functional


def n_outputs(n_classes: int) -> int:
    """Return 1 for two classes, as the siren tutorial's sigmoid output, else one for each class."""
    return 1 if n_classes == 2 else n_classes


def loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy in nats of logits (B, 1) or (B, C) for class numbers (B,)."""
    if logits.shape[1] == 1:
        return functional.binary_cross_entropy_with_logits(logits[:, 0], labels.to(logits.dtype))
    return functional.cross_entropy(logits, labels)


def probabilities(logits: torch.Tensor) -> torch.Tensor:
    """Return the probability of each class, (B, C), from logits (B, 1) or (B, C)."""
    if logits.shape[1] == 1:
        p = torch.sigmoid(logits)
        return torch.cat([1 - p, p], dim=1)
    return torch.softmax(logits, dim=1)
