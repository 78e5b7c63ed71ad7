"""Lightning's data module of windows."""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, Sampler, SequentialSampler, WeightedRandomSampler

from earshot.batches.share import Share, Shared
from earshot.batches.shuffled import ShuffledShards
from earshot.batches.windows import Windows
from earshot.errors import EarshotError


class WindowDataModule(pl.LightningDataModule):
    """The training and validation windows of one fold. Test windows are read by `evaluate` alone."""

    def __init__(
        self,
        train: Windows,
        validation: Windows,
        batch_size: int,
        seed: int,
        balanced: bool = False,
        shuffle_shards: int | None = None,
        share: Share | None = None,
    ):
        """Take the windows of both parts; the training windows are shuffled anew each epoch, by `seed`.

        Parameters
        ----------
        batch_size : of all processes that train the model together
        balanced : draw as many windows as there are, with replacement, so that each class is as likely
        shuffle_shards : shuffle the windows of so many shards together, see `ShuffledShards`; by default those of all
        share : this process's of each batch; None: all of it
        """
        super().__init__()
        self.balanced, self.shuffle_shards, self.share = balanced, shuffle_shards, share
        self.train_windows, self.validation_windows = train, validation
        self.batch_size, self.seed = batch_size, seed
        self.generator = torch.Generator()

    def train_dataloader(self) -> DataLoader:
        """Return shuffled batches; the last one may be smaller."""
        windows, self.generator = self.train_windows, torch.Generator().manual_seed(self.seed)
        if self.shuffle_shards:
            return self._loader(
                windows, ShuffledShards(windows.shards, self.batch_size, self.shuffle_shards, self.seed)
            )
        if self.balanced:
            sampler = WeightedRandomSampler(_shares(windows), len(windows), generator=self.generator)
        else:
            sampler = RandomSampler(windows, generator=self.generator)
        return self._loader(windows, BatchSampler(sampler, self.batch_size, drop_last=False))

    def val_dataloader(self) -> DataLoader:
        """Return the validation windows in their order."""
        sampler = SequentialSampler(self.validation_windows)
        return self._loader(self.validation_windows, BatchSampler(sampler, self.batch_size, drop_last=False))

    def _loader(self, dataset: Windows, batches: Sampler[list[int]]) -> DataLoader:
        # The windows are in memory: worker processes would only add start-up and copies.
        return DataLoader(Shared(dataset, self.share) if self.share else dataset, sampler=batches, batch_size=None)


def _shares(windows: Windows) -> torch.Tensor:
    """Return for each window how often it is drawn, relative to others, so that each class is drawn as often.

    Raises
    ------
    EarshotError
        If windows have several labels.
    """
    if windows.multi_label:
        raise EarshotError(
            "model.training.sampling=balanced is for single labels, and the windows here have several: use "
            "model.training.class_weights=balanced"
        )
    return 1 / torch.bincount(windows.labels).double()[windows.labels]
