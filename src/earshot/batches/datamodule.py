"""Lightning's data module of windows."""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, Sampler, SequentialSampler

from earshot.batches.windows import Windows


class WindowDataModule(pl.LightningDataModule):
    """The training and validation windows of one fold. Test windows are read by `evaluate` alone."""

    def __init__(self, train: Windows, validation: Windows, batch_size: int, seed: int):
        """Take the windows of both parts; the training windows are shuffled anew each epoch, by `seed`."""
        super().__init__()
        self.train_windows, self.validation_windows = train, validation
        self.batch_size, self.seed = batch_size, seed

    def train_dataloader(self) -> DataLoader:
        """Return shuffled batches; the last one may be smaller."""
        generator = torch.Generator().manual_seed(self.seed)
        return self._loader(self.train_windows, RandomSampler(self.train_windows, generator=generator))

    def val_dataloader(self) -> DataLoader:
        """Return the validation windows in their order."""
        return self._loader(self.validation_windows, SequentialSampler(self.validation_windows))

    def _loader(self, dataset: Windows, sampler: Sampler[int]) -> DataLoader:
        # The windows are in memory: worker processes would only add start-up and copies.
        return DataLoader(dataset, sampler=BatchSampler(sampler, self.batch_size, drop_last=False), batch_size=None)
