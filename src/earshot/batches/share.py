"""The share of each batch that one of several processes trains on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.utils.data import Dataset

from earshot.batches.windows import Windows


@dataclass(frozen=True)
class Share:
    """Which process this is, from 0, of how many that train one model."""

    rank: int = 0
    of: int = 1

    def part(self, batch: list[int]) -> list[int]:
        """Return this process's part of a batch: the parts of all are the batch."""
        return batch[self.rank :: self.of]


class Shared(Dataset):
    """One process's part of batches of windows.

    All processes draw the same batches, so that an epoch has each window as often as in one process, and as many steps.
    """

    def __init__(self, windows: Windows, share: Share):
        """Take the windows of all processes."""
        self.windows, self.share = windows, share

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, batch: list[int]) -> tuple[torch.Tensor, torch.Tensor, int, int]:
        """Return x, y, how many of the batch's windows they are, and how many the batch has.

        Every process takes part in each step. One that has no window of the batch gets its first one, counted as 0.
        """
        mine = self.share.part(batch)
        x, y = self.windows[mine or batch[:1]]
        return x, y, len(mine), len(batch)
