"""The order of training windows of a dataset that is larger than memory: shuffled shards, some at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil

import numpy as np
from torch.utils.data import Sampler


class ShuffledShards(Sampler[list[int]]):
    """Batches of windows in an order that reads each shard once in an epoch.

    The shards are put in a random order; the windows of each `at_once` of them are shuffled together: CorgiPile
    (Xu et al., Stochastic Gradient Descent without Full Data Shuffle, arXiv 2206.05830). Of S shards and b of them at a
    time a batch is drawn from b / S of the windows, and each window once in an epoch; with b = S it is the full
    shuffle. An epoch's order follows from seed and epoch alone.
    """

    def __init__(self, shards: Sequence[int], batch_size: int, at_once: int, seed: int):
        """Take the shard of each window, and how many shards are shuffled together."""
        order = np.argsort(shards, kind="stable")
        self.windows = np.split(order, np.flatnonzero(np.diff(np.asarray(shards)[order])) + 1)
        self.batch_size, self.at_once, self.seed = batch_size, at_once, seed
        self.n_windows, self.epoch = len(order), 0

    def set_epoch(self, epoch: int) -> None:
        """Take the epoch whose order comes next, counted from 0; Lightning says it."""
        self.epoch = epoch

    def __len__(self) -> int:
        return ceil(self.n_windows / self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the windows of each batch, by their positions; the last one may be smaller."""
        order = self.order()
        for first in range(0, len(order), self.batch_size):
            yield order[first : first + self.batch_size].tolist()

    def order(self) -> np.ndarray:
        """Return the positions of the windows in the epoch's order."""
        rng = np.random.default_rng([self.seed, self.epoch])
        shards = [self.windows[shard] for shard in rng.permutation(len(self.windows))]
        together = [shards[first : first + self.at_once] for first in range(0, len(shards), self.at_once)]
        return np.concatenate([rng.permutation(np.concatenate(some)) for some in together])
