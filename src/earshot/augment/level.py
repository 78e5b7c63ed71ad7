"""Levels of windows of samples."""

from __future__ import annotations

import torch

from earshot.augment.draws import Draws
from earshot.augment.settings import Gain


def power(x: torch.Tensor) -> torch.Tensor:
    """Return the mean power of each window: (B, T, 1) -> (B, 1, 1)."""
    return x.square().mean(dim=(1, 2), keepdim=True)


def gain(x: torch.Tensor, draws: Draws, settings: Gain) -> torch.Tensor:
    """Change the level of each window."""
    factor = 10 ** (draws.between(settings.db, len(x), 1, 1) / 20)
    return x * factor.to(x.device)


def turned_down(x: torch.Tensor) -> torch.Tensor:
    """Turn down, as a whole, each window that would clip."""
    return x / x.abs().amax(dim=(1, 2), keepdim=True).clamp_min(1.0)
