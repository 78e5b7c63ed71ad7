"""Windows of features for a model, cut from stored features inside the spans of a split."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from torch.utils.data import Dataset

from earshot import inputs
from earshot.batches.features import Features
from earshot.metrics import labels
from earshot.splits.spans import windows_of


def windows_in(spans: pd.DataFrame, built: inputs.Input, window: dict[str, float]) -> pd.DataFrame:
    """Cut the windows of an input out of spans.

    Returns
    -------
    Columns recording, group, label, start and seconds; in the order of the spans
    """
    if getattr(built, "hop", window["hop"]) is None:  # one summary for each short recording
        longest = getattr(built, "length", None)
        return spans.assign(seconds=(spans["stop"] - spans["start"]).clip(upper=longest)).drop(columns="stop")
    return windows_of(spans, window)


class Windows(Dataset):
    """Windows of one part of a split, indexed by the positions of a batch.

    A batch is (x, y): x of shape (B, T, F) as float32, y of shape (B,) with class numbers. Of a multi-label dataset y
    has shape (B, C), float32: 1 for the classes of a window, else 0.
    """

    def __init__(self, features: Features, table: pd.DataFrame, built: inputs.Input, classes: list[str]):
        """Take the windows in `table` (see `windows_in`) from `features`.

        Those of several shards are put in the shards' order, so that who reads them one after another reads shard
        after shard.
        """
        self.features, self.built = features, built
        if len(features.starts) > 1:
            table = table.iloc[np.argsort(table["recording"].map(features.first), kind="stable")].reset_index(drop=True)
        self.table = table
        self.length = built.n_rows(float(table["seconds"].iloc[0])) if len(table) else 0
        rows = [
            features.first[recording] + round(built.first_row(start))
            for recording, start in zip(table["recording"], table["start"], strict=True)
        ]
        self.rows = torch.tensor(rows, dtype=torch.long)
        self.multi_label = labels.are_sets(table["label"])
        if self.multi_label:
            self.labels = torch.from_numpy(labels.multi_hot(table["label"], classes)).float()
        else:
            self.labels = torch.tensor([classes.index(label) for label in table["label"]], dtype=torch.long)

    @property
    def shards(self) -> np.ndarray:
        """The number of the shard that each window is in."""
        return np.searchsorted(self.features.starts, self.rows.numpy(), side="right") - 1

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the windows at the positions in `index` as one batch."""
        index = torch.as_tensor(index)
        rows = self.features.rows
        batch = np.empty((len(index), self.length, rows.shape[1]), rows.dtype)
        for window, row in zip(batch, self.rows[index].tolist(), strict=True):
            window[:] = rows[row : row + self.length]  # one at a time: no shard stays in memory for another's
        return self.built.finish(torch.from_numpy(batch)), self.labels[index]

    def batches(self, size: int) -> Iterator[torch.Tensor]:
        """Yield the x of all windows in their order, `size` at a time."""
        for first in range(0, len(self), size):
            x, _ = self[list(range(first, min(first + size, len(self))))]
            yield x


def statistics(train: Windows, batch_size: int = 256) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and population standard deviation of each feature over all rows of all training windows.

    Returns
    -------
    mean, deviation : float32, shape (F,)
    """
    total = square = torch.zeros((), dtype=torch.float64)
    count = 0
    for x in train.batches(batch_size):
        values = x.reshape(-1, x.shape[-1]).double()
        total, square, count = total + values.sum(0), square + values.square().sum(0), count + len(values)
    mean = total / count
    return mean.float(), (square / count - mean.square()).clamp_min(0).sqrt().float()
