"""ReLU, dropout and max-pooling as one step."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from earshot.models.fast.dropout import kept, share


class DropAndPool(nn.Module):
    """ReLU, dropout and max-pooling by 2 over time: (B, C, T) -> (B, C, T // 2).

    The same function, and in training the same distribution, as those three layers one after another, with a third
    of the passes over memory: the highest of a pair is chosen first, and what is below zero or dropped is zero then.
    """

    def __init__(self, dropout: float) -> None:
        """Take the share of the values that is dropped in training."""
        super().__init__()
        self.p = share(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the highest of each pair of values; an odd last one is lost."""
        pooled: torch.Tensor = _DropAndPool.apply(x, self.p if self.training else 0.0)
        return pooled


class _DropAndPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, p: float) -> torch.Tensor:
        if p:
            x = x * kept(x.shape, p, x.device)
        first, second = x[..., :-1:2], x[..., 1::2]
        highest = torch.maximum(first, second).clamp_min_(0)
        ctx.save_for_backward((first == highest) & (highest > 0), (second > first) & (highest > 0))
        ctx.p, ctx.shape = p, x.shape
        return highest.div_(1 - p)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        first, second = ctx.saved_tensors
        gradient = gradient / (1 - ctx.p)
        of_x = gradient.new_zeros(ctx.shape) if ctx.shape[-1] % 2 else gradient.new_empty(ctx.shape)
        of_x[..., :-1:2] = gradient * first
        of_x[..., 1::2] = gradient * second
        return of_x, None
