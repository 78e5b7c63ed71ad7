"""Averages of a model's weights over the steps or epochs of its training, which predict better than the latest ones."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, get_swa_multi_avg_fn

Average = Callable[[list[torch.Tensor], list[torch.Tensor], torch.Tensor | int], None]


def averaged(kind: str, net: nn.Module, ema_decay: float) -> AveragedModel | None:
    """Return the average of a model's weights and buffers, which has no weights yet; None for kind "none".

    Parameters
    ----------
    kind : none; ema, an exponential moving average over steps (Polyak and Juditsky 1992); swa, a plain average over
        epochs (Izmailov et al. 2018, arXiv:1803.05407)
    ema_decay : share of the average that a step keeps
    """
    if kind == "none":
        return None
    return AveragedModel(
        net, multi_avg_fn=moving(ema_decay) if kind == "ema" else get_swa_multi_avg_fn(), use_buffers=True
    )


def moving(decay: float) -> Average:
    """Return what moves an average towards new weights, faster in the first steps, so that a short training counts.

    The n-th update keeps min(decay, (1 + n) / (10 + n)), as TensorFlow's `ExponentialMovingAverage` does.
    """

    def move(average: list[torch.Tensor], new: list[torch.Tensor], updates: torch.Tensor | int) -> None:
        n = int(updates)
        get_ema_multi_avg_fn(min(decay, (1 + n) / (10 + n)))(average, new, updates)

    return move
