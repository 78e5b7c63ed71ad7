"""Stored features, mapped into memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from earshot import files, project
from earshot.errors import EarshotError


@dataclass(frozen=True)
class Features:
    """All rows of a dataset's input, one recording after another.

    rows : shape (N, F), mapped from a file: rows that are not read take no memory, and processes share those that are
    first : the first row of each recording
    """

    rows: np.ndarray
    first: dict[str, int]


def read_features(path: Path, recipe: dict[str, Any]) -> Features:
    """Read an input's features, if they were made with the settings of `recipe`.

    Parameters
    ----------
    path : data/features/DATASET/INPUT.parquet
    recipe : settings that the file's recipe must have; it may have more

    Raises
    ------
    EarshotError
        If the file is missing, or was made with other settings: names the key, both values and the command.
    """
    stored = files.read_recipe(path)
    for key, value in recipe.items():
        if stored.get(key) != value:
            raise EarshotError(
                f"{path} was made with {recipe['input']}.{key} = {stored.get(key)}, and {value} is asked for. Set it "
                f"in params.yaml and run `dvc repro features@{path.parent.name}`, or try several values"
                f" with `dvc exp run -S`"
            )
    mapped = project.cache("rows", path.parent.name, f"{path.stem}-{stored['digest'][:16]}.npy")
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
