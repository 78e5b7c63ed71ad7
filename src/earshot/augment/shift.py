"""Shifts in time."""

from __future__ import annotations

import torch

from earshot.augment.draws import Draws
from earshot.augment.settings import Shift


def shift(x: torch.Tensor, draws: Draws, settings: Shift) -> torch.Tensor:
    """Turn each window, (B, T, F), round in time by up to `share` of its length, to either side."""
    most = round(settings.share * x.shape[1])
    steps = draws.whole(-most, most, len(x)).tolist()
    return torch.stack([torch.roll(window, step, dims=0) for window, step in zip(x, steps, strict=True)])
