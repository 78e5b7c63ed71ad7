"""How many outputs a model has, and what they mean."""

from __future__ import annotations

import torch
from torch.nn import functional


def n_outputs(n_classes: int) -> int:
    """Return 1 for two classes, as the siren tutorial's sigmoid output, else one for each class."""
    return 1 if n_classes == 2 else n_classes


def loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy in nats of logits (B, 1) or (B, C) for class numbers (B,).

    Of multi-label targets (B, C), 0 or 1, it is the binary cross-entropy, the mean over windows and classes.
    """
    if labels.ndim == 2:
        return functional.binary_cross_entropy_with_logits(logits, labels)
    if logits.shape[1] == 1:
        return functional.binary_cross_entropy_with_logits(logits[:, 0], labels.to(logits.dtype))
    return functional.cross_entropy(logits, labels)


def probabilities(logits: torch.Tensor, multi_label: bool = False) -> torch.Tensor:
    """Return the probability of each class, (B, C), from logits (B, 1) or (B, C).

    With `multi_label` each is that of a window having the class, whatever others it has.
    """
    if multi_label:
        return torch.sigmoid(logits)
    if logits.shape[1] == 1:
        p = torch.sigmoid(logits)
        return torch.cat([1 - p, p], dim=1)
    return torch.softmax(logits, dim=1)
