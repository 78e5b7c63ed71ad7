"""The random numbers of one operation in one step of a training."""

from __future__ import annotations

import numpy as np
import torch


class Draws:
    """Random numbers that follow from their place alone: seed, epoch, step and operation.

    So they are the same on every device, in whatever process and order steps are done, and whichever other operations
    there are. They are drawn on the CPU.
    """

    def __init__(self, *place: int):
        """Take whole numbers, 0 or more."""
        # torch's generator takes 32 bits of a seed: numpy makes well-mixed ones of all numbers
        seed = int(np.random.SeedSequence(place).generate_state(1, np.uint32)[0])
        self.generator = torch.Generator().manual_seed(seed)

    def uniform(self, low: float, high: float, *shape: int) -> torch.Tensor:
        """Return numbers from `low` to `high`: float32."""
        return low + (high - low) * torch.rand(shape, generator=self.generator)

    def between(self, limits: list[float], *shape: int) -> torch.Tensor:
        """Return numbers between two limits."""
        return self.uniform(limits[0], limits[1], *shape)

    def normal(self, *shape: int) -> torch.Tensor:
        """Return numbers of mean 0 and deviation 1: float32."""
        return torch.randn(shape, generator=self.generator)

    def whole(self, low: int, high: int, *shape: int) -> torch.Tensor:
        """Return whole numbers from `low` to `high`, both included: int64."""
        return torch.randint(low, high + 1, shape, generator=self.generator)

    def order(self, n: int) -> torch.Tensor:
        """Return the numbers below `n` in another order."""
        return torch.randperm(n, generator=self.generator)

    def chosen(self, n: int, p: float) -> torch.Tensor:
        """Return the positions of those of `n` windows that an operation is done to, each with probability `p`."""
        return torch.nonzero(torch.rand(n, generator=self.generator) < p)[:, 0]
