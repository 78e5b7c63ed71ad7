"""The random choice of dropout, without spending a training's time on random numbers."""

from __future__ import annotations

import math

import torch

LEVELS = 2**16  # a share is dropped as the nearest multiple of 1 / LEVELS


def share(p: float) -> float:
    """Return the share that is dropped where `p` is asked for."""
    return round(p * LEVELS) / LEVELS


def kept(shape: torch.Size, p: float, device: torch.device) -> torch.Tensor:
    """Draw which values dropout keeps: bool, each False with probability p, independently of the others.

    On a CPU torch draws a random number of its own for every value, one after another. Here 16 of their bits decide
    on a value, so that four need one number, at a seventh of the time.
    """
    if device.type != "cpu":
        return torch.rand(shape, device=device) >= p
    n = math.prod(shape)
    bits = torch.empty(-(-n // 4), dtype=torch.int64, device=device).random_(-(2**63), None)
    return (bits.view(torch.int16)[:n] >= round(p * LEVELS) - LEVELS // 2).view(shape)
