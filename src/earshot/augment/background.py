"""Background sound, mixed in at a signal-to-noise ratio."""

from __future__ import annotations

import torch

from earshot.augment.draws import Draws
from earshot.augment.level import power
from earshot.augment.settings import Background


def background(x: torch.Tensor, noise: torch.Tensor, draws: Draws, settings: Background) -> torch.Tensor:
    """Add to each window a window of noise, scaled so that the ratio of their mean powers is the one drawn.

    Where one of the two is silent the window stays as it is.

    Parameters
    ----------
    x, noise : (B, T, 1)
    """
    snr_db = draws.between(settings.snr_db, len(x), 1, 1).to(x.device)
    scaled = power(x) / power(noise).clamp_min(torch.finfo(x.dtype).tiny) * 10 ** (-snr_db / 10)
    return x + noise * torch.where(power(noise) > 0, scaled, 0.0).sqrt()
