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
    change = moving(ema_decay) if kind == "ema" else plain
    return AveragedModel(net, multi_avg_fn=change, use_buffers=True).requires_grad_(False)


def plain(average: list[torch.Tensor], new: list[torch.Tensor], updates: torch.Tensor | int) -> None:
    """Move an average of so many weights to that of one more; a count, such as a batch norm's, is the latest one."""
    if average[0].is_floating_point():
        get_swa_multi_avg_fn()(average, new, updates)
    else:
        torch._foreach_copy_(average, new)


def moving(decay: float) -> Average:
    """Return what moves an average towards new weights, faster in the first steps, so that a short training counts.

    The n-th update keeps min(decay, (1 + n) / (10 + n)), as TensorFlow's `ExponentialMovingAverage` does.
    """

    def move(average: list[torch.Tensor], new: list[torch.Tensor], updates: torch.Tensor | int) -> None:
        n = int(updates)
        get_ema_multi_avg_fn(min(decay, (1 + n) / (10 + n)))(average, new, updates)

    return move
