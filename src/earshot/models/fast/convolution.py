"""A convolution over time, and its gradient, as products of large matrices."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional


def convolve(convolution: nn.Conv1d, x: torch.Tensor) -> torch.Tensor:
    """Return what a convolution with "same" padding makes of x, (B, C_in, T) -> (B, C_out, T).

    In training on a CPU a network's first layer, which is asked for its weights' gradient alone, takes its own way:
    torch's takes 1.6 times as long where 8 filters see 161 bins.
    """
    of_weights_alone = (
        convolution.training and convolution.bias is not None and torch.is_grad_enabled() and not x.requires_grad
    )
    if of_weights_alone and x.device.type == "cpu":
        outputs: torch.Tensor = _FirstLayer.apply(x, convolution.weight, convolution.bias)
        return outputs
    return _torchs(x, convolution.weight, convolution.bias)


class _FirstLayer(torch.autograd.Function):
    """Each row of x meets each row of the kernels once, in one product; what that gives is shifted to its time."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.kernel = weight.shape[-1]
        return _torchs(x, weight, bias) if x.shape[1] < len(weight) else _by_product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[None, torch.Tensor, torch.Tensor]:
        (x,) = ctx.saved_tensors
        gradient = gradient.to(x.dtype)  # in mixed precision it comes as bfloat16
        n_in, n_out = x.shape[1], gradient.shape[1]
        if n_in < n_out:  # what has fewer channels is copied for each row of the kernel
            of_weight = _rows(gradient).T @ _seen(x, ctx.kernel)
            of_weight = of_weight.view(n_out, ctx.kernel, n_in).transpose(1, 2)
        else:
            of_weight = _seen(gradient, ctx.kernel).T @ _rows(x)
            of_weight = of_weight.view(ctx.kernel, n_out, n_in).flip(0).permute(1, 2, 0)
        return None, of_weight, gradient.sum(dim=(0, 2))


def _torchs(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Convolve; in two dimensions, where torch knows a kernel for batches that lie as (B, T, C_in)."""
    padding = (0, weight.shape[-1] // 2)
    return functional.conv2d(x[:, :, None], weight[:, :, None], bias, padding=padding)[:, :, 0]


def _by_product(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Convolve: multiply each row of x with each row of the kernels, and add what meets at a time."""
    n_out, n_in, kernel = weight.shape
    products = weight.permute(2, 0, 1).reshape(kernel * n_out, n_in) @ _rows(x).T
    products = products.view(kernel, n_out, len(x), -1)
    middle = kernel // 2
    out = products[middle] + bias[:, None, None]
    for shift in range(1, middle + 1):
        out[..., shift:] += products[middle - shift][..., :-shift]
        out[..., :-shift] += products[middle + shift][..., shift:]
    return out.transpose(0, 1)


def _rows(x: torch.Tensor) -> torch.Tensor:
    """Return (B, C, T) as (B * T, C)."""
    return x.transpose(1, 2).reshape(-1, x.shape[1])


def _seen(x: torch.Tensor, kernel: int) -> torch.Tensor:
    """Return the rows of x that a kernel sees at each time: (B, C, T) -> (B * T, kernel * C)."""
    padded = functional.pad(x.transpose(1, 2), (0, 0, kernel // 2, kernel // 2))
    return padded.unfold(1, kernel, 1).transpose(2, 3).reshape(-1, kernel * x.shape[1])
