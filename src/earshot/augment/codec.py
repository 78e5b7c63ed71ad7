"""Coarse quantisation of samples, as of telephones and cheap recorders."""

from __future__ import annotations

import math

import torch

from earshot.augment.draws import Draws
from earshot.augment.settings import Codec

MU = 255  # of ITU-T G.711's mu-law in North America and Japan
STEPS = 127  # of its 8 bits to either side of zero


def codec(x: torch.Tensor, draws: Draws, settings: Codec) -> torch.Tensor:
    """Quantise each window, (B, T, 1), full scale 1, in a way drawn of `kinds`."""
    kinds = draws.whole(0, len(settings.kinds) - 1, len(x)).to(x.device)
    bits = draws.whole(*settings.bits, len(x), 1, 1).to(x.device)
    made = x.clamp(-1.0, 1.0)
    for number, kind in enumerate(settings.kinds):
        rows = torch.nonzero(kinds == number)[:, 0]
        made[rows] = mu_law(made[rows]) if kind == "mu_law" else linear(made[rows], bits[rows])
    return made


def mu_law(x: torch.Tensor) -> torch.Tensor:
    """Compress, round to 8 bits and expand: the mu-law's continuous form, of which G.711 has a piecewise linear one."""
    small = torch.log1p(MU * x.abs()) / math.log1p(MU)
    return torch.copysign(torch.expm1((small * STEPS).round() / STEPS * math.log1p(MU)) / MU, x)


def linear(x: torch.Tensor, bits: torch.Tensor) -> torch.Tensor:
    """Round to a number of bits, a whole number for each window."""
    steps = 2.0 ** (bits - 1)
    return (x * steps).round() / steps
