"""Cutting sound into frames."""

from __future__ import annotations

import math

import torch


def frames_of(samples: torch.Tensor, length: int, hop: int) -> torch.Tensor:
    """Return the frames of `length` samples, one every `hop`, that lie wholly in each sound: (B, n) -> (B, T, length).

    Put together of blocks, which onnxruntime copies many times faster than single samples.
    """
    block = math.gcd(length, hop)
    whole = samples.shape[1] // block * block
    blocks = samples[:, :whole].reshape(samples.shape[0], -1, block)
    return blocks.unfold(1, length // block, hop // block).transpose(2, 3).flatten(2)
