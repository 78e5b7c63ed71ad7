"""FilterAugment of rows in decibels (Nam et al. 2022, arXiv:2110.03282), its linear kind."""

from __future__ import annotations

import torch

from earshot.augment.draws import Draws
from earshot.augment.settings import Filter


def bands(x: torch.Tensor, draws: Draws, settings: Filter) -> torch.Tensor:
    """Add to each window, (B, T, F), a gain that runs in straight lines over its columns between gains drawn."""
    n_bins = x.shape[2]
    inner = draws.uniform(0, n_bins - 1, len(x), settings.bands - 1).sort(dim=1).values
    ends = torch.zeros(len(x), 1)
    knots = torch.cat([ends, inner, ends + n_bins - 1], dim=1)
    gains = draws.between(settings.db, *knots.shape)
    columns = torch.arange(n_bins, dtype=torch.float32).expand(len(x), -1).contiguous()
    right = torch.searchsorted(knots, columns).clamp(1, settings.bands)
    before, after = knots.gather(1, right - 1), knots.gather(1, right)
    share = ((columns - before) / (after - before).clamp_min(1e-6)).clamp(0, 1)
    return x + torch.lerp(gains.gather(1, right - 1), gains.gather(1, right), share).unsqueeze(1).to(x.device)
