"""The learning rate over the steps of a training, as a factor of each parameter group's own rate."""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR


def schedule(name: str, optimizer: Optimizer, steps: int, warm_up: float) -> LRScheduler:
    """Return what sets the rate before each step.

    Parameters
    ----------
    name : cosine or one_cycle
    steps : of the whole training
    warm_up : share of the steps in which the rate rises
    """
    if name == "one_cycle":  # Smith and Topin 2018, arXiv:1708.07120: momentum falls while the rate rises
        rates = [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(optimizer, rates, total_steps=steps, pct_start=warm_up)
    return LambdaLR(optimizer, lambda step: cosine(step, steps, round(warm_up * steps)))


def cosine(step: int, steps: int, rising: int) -> float:
    """Return the factor of a step, counted from 0: up in a straight line, then down by half a cosine towards 0.

    Loshchilov and Hutter 2017, arXiv:1608.03983, one period; the warm-up is that of Goyal et al. 2017,
    arXiv:1706.02677.
    """
    if step < rising:
        return (step + 1) / (rising + 1)
    return (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising))) / 2
