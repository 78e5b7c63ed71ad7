"""SpecAugment's masks of spectrogram rows (Park et al. 2019, arXiv:1904.08779), without its time warping."""

from __future__ import annotations

import torch

from earshot.augment.draws import Draws
from earshot.augment.settings import Masks


def masks(x: torch.Tensor, draws: Draws, settings: Masks, dim: int, fill: torch.Tensor) -> torch.Tensor:
    """Hide `number` stretches of each window, (B, T, F), each of 0 up to `share` of the rows or columns.

    Parameters
    ----------
    dim : 1 for stretches of time, 2 for bands of frequencies
    fill : what hides them, (F,): the mean of the training windows, as in the paper, which has it at zero
    """
    size = x.shape[dim]
    width = draws.uniform(0, settings.share * size, len(x), settings.number, 1).round()
    start = (draws.uniform(0, 1, len(x), settings.number, 1) * (size - width + 1)).floor()
    places = torch.arange(size)
    hidden = ((places >= start) & (places < start + width)).any(dim=1).to(x.device)
    return torch.where(hidden.unsqueeze(2 if dim == 1 else 1), fill.to(x.device), x)
