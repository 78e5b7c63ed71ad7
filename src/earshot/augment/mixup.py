"""Mixup: windows and their labels mixed in pairs (Zhang et al. 2018, arXiv:1710.09412)."""

from __future__ import annotations

from dataclasses import dataclass

import scipy.special
import torch

from earshot.augment.draws import Draws
from earshot.augment.settings import Mixup


@dataclass(frozen=True)
class Mixing:
    """Which windows of a batch were mixed.

    partner : position of the other window, (B,)
    share : of the window itself, (B,), 0.5 or more; 1 where nothing was mixed in
    """

    partner: torch.Tensor
    share: torch.Tensor

    def of(self, values: torch.Tensor) -> torch.Tensor:
        """Mix the windows of a batch, or their targets: (B, ...)."""
        share = self.share.reshape(-1, *[1] * (values.ndim - 1))
        return share * values + (1 - share) * values[self.partner]


def mixing(n: int, draws: Draws, settings: Mixup, device: torch.device) -> Mixing:
    """Draw for `n` windows partners and shares from Beta(alpha, alpha); the larger share is the window's own."""
    chosen = torch.rand(n, generator=draws.generator) < settings.p
    drawn = scipy.special.betaincinv(settings.alpha, settings.alpha, draws.uniform(0, 1, n).double().numpy())
    share = torch.from_numpy(drawn).float()
    share = torch.where(chosen, torch.maximum(share, 1 - share), 1.0)
    return Mixing(draws.order(n).to(device), share.to(device))
