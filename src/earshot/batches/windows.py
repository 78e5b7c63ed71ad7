"""Windows as a model is given them: views into the stored features, cut inside the spans of a split."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch.utils.data import Dataset

from earshot import files, inputs, project
from earshot.errors import EarshotError
from earshot.splits.spans import windows_of


@dataclass(frozen=True)
class Features:
    """All rows of a dataset's input, one recording after another.

    rows : shape (N, F), mapped from a file: what is not looked at takes no memory, and processes share what is
    first : the first row of each recording
    """

    rows: np.ndarray
    first: dict[str, int]


def read_features(path: Path, recipe: dict[str, Any]) -> Features:
    """Read an input's features, if they are the ones that are meant.

    Parameters
    ----------
    path : data/features/DATASET/INPUT.parquet
    recipe : what the file's recipe must say; it may say more

    Raises
    ------
    EarshotError
        If the file is missing, or was made by another recipe: names the key, both values and the command.
    """
    stored = files.read_recipe(path)
    for key, wanted in recipe.items():
        if stored.get(key) != wanted:
            raise EarshotError(
                f"{path} was made with {recipe['input']}.{key} = {stored.get(key)}, and {wanted} is asked for. Set it "
                f"in params.yaml and run `dvc repro features@{path.parent.name}`, or try several values"
                f" with `dvc exp run -S`"
            )
    mapped = project.data("cache", "rows", path.parent.name, f"{path.stem}-{stored['digest'][:16]}.npy")
    with pq.ParquetFile(path) as file:
        sizes = _sizes(file)
        if not mapped.exists():
            _unpack(file, sum(sizes.values()), mapped)
    first = np.cumsum([0, *sizes.values()])[:-1]
    return Features(np.load(mapped, mmap_mode="r"), dict(zip(sizes, first.tolist(), strict=True)))


def _sizes(file: pq.ParquetFile) -> dict[str, int]:
    """Return how many rows each recording has, in their order."""
    has_frames = "frames" in file.schema_arrow.names
    table = file.read(columns=["recording", "frames"] if has_frames else ["recording"]).to_pandas()
    grouped = table.groupby("recording", sort=False)
    return (grouped["frames"].sum() if has_frames else grouped.size()).to_dict()


def _unpack(file: pq.ParquetFile, n_rows: int, out: Path) -> None:
    """Write all rows to a file that can be mapped, a row group of the parquet file at a time."""
    row = 0
    with files.replacing(out) as temporary:
        for group in range(file.num_row_groups):
            rows = _rows(file.read_row_group(group))
            if group == 0:
                mapped = np.lib.format.open_memmap(temporary, "w+", rows.dtype, (n_rows, rows.shape[1]))
            mapped[row : row + len(rows)] = rows
            row += len(rows)
        mapped.flush()


def _rows(table: pa.Table) -> np.ndarray:
    if "values" not in table.column_names:
        return table.drop_columns(["recording", "window"]).to_pandas().to_numpy(np.float32)
    return (
        table["values"].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, table["bins"][0].as_py())
    )


def windows_in(spans: pd.DataFrame, built: inputs.Input, window: dict[str, float]) -> pd.DataFrame:
    """Cut the windows of an input out of spans.

    Returns
    -------
    Columns recording, group, label, start and seconds; in the order of the spans
    """
    if getattr(built, "hop", window["hop"]) is None:  # one summary for each short recording
        return spans.assign(seconds=(spans["stop"] - spans["start"]).clip(upper=built.length)).drop(columns="stop")
    return windows_of(spans, window)


class Windows(Dataset):
    """Windows of one part of a split; asked for in batches.

    A batch is (x, y): x of shape (B, T, F) as float32, y of shape (B,) with class numbers.
    """

    def __init__(self, features: Features, table: pd.DataFrame, built: inputs.Input, classes: list[str]):
        """Take the windows in `table` (see `windows_in`) out of `features`."""
        self.features, self.built = features, built
        self.table = table
        self.length = built.n_rows(float(table["seconds"].iloc[0])) if len(table) else 0
        rows = [
            features.first[recording] + round(built.first_row(start))
            for recording, start in zip(table["recording"], table["start"], strict=True)
        ]
        self.rows = torch.tensor(rows, dtype=torch.long)
        self.labels = torch.tensor([classes.index(label) for label in table["label"]], dtype=torch.long)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the windows at the positions in `index` as one batch."""
        index = torch.as_tensor(index)
        batch = np.stack([self.features.rows[row : row + self.length] for row in self.rows[index].tolist()])
        return self.built.finish(torch.from_numpy(batch)), self.labels[index]

    def batches(self, size: int) -> Iterator[torch.Tensor]:
        """Yield the x of all windows in their order, `size` at a time."""
        for first in range(0, len(self), size):
            x, _ = self[list(range(first, min(first + size, len(self))))]
            yield x


def statistics(train: Windows, batch_size: int = 256) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and population deviation of each feature over all rows of all training windows.

    Returns
    -------
    mean, deviation : float32, shape (F,)
    """
    total, square, count = 0.0, 0.0, 0
    for x in train.batches(batch_size):
        values = x.reshape(-1, x.shape[-1]).double()
        total, square, count = total + values.sum(0), square + values.square().sum(0), count + len(values)
    mean = total / count
    return mean.float(), (square / count - mean.square()).clamp_min(0).sqrt().float()
