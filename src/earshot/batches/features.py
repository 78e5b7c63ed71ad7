"""Stored features, mapped into memory from a copy that can be, or read shard by shard."""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from earshot import files, project, provenance, seal
from earshot.errors import EarshotError
from earshot.inputs import kept, stored


class Rows:
    """The rows of all shards, one after another: shape (N, F). A slice must lie in one recording, as windows do."""

    def __init__(
        self, starts: Sequence[int], shape: tuple[int, int], dtype: np.dtype, read: Callable[[int], np.ndarray]
    ):
        """Take the first row of each shard, shape and type of all, and what returns a shard's rows by its number."""
        self.starts, self.shape, self.dtype, self._read = starts, shape, dtype, read

    def __getitem__(self, some: slice) -> np.ndarray:
        """Return some rows of a recording."""
        shard = bisect_right(self.starts, some.start) - 1
        first = self.starts[shard]
        return self._read(shard)[some.start - first : some.stop - first]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return all rows, in memory."""
        return np.concatenate([self._read(shard) for shard in range(len(self.starts))]).astype(dtype, copy=False)


@dataclass(frozen=True)
class Features:
    """All rows of a dataset's input, one recording after another.

    rows : shape (N, F); an array, or `Rows`
    first : the first row of each recording
    starts : the first row of each shard, ascending
    """

    rows: np.ndarray | Rows
    first: dict[str, int]
    starts: Sequence[int] = (0,)


@dataclass(frozen=True)
class Shards:
    """The files of all shards; `n_rows` of each, which are `width` numbers of a type."""

    paths: Sequence[Path]
    n_rows: Sequence[int]
    width: int
    dtype: np.dtype

    def shape(self, shard: int) -> tuple[int, int]:
        """Return the shape of a shard's rows."""
        return self.n_rows[shard], self.width

    def pieces(self, shard: int) -> Iterator[np.ndarray]:
        """Yield the rows of a shard, some at a time: shape (n, F).

        Raises
        ------
        EarshotError
            If the file is not as it was written, or has not the rows that its index says.
        """
        n_rows = 0
        for _, rows in stored.read_part(self.paths[shard]):
            n_rows += len(rows)
            yield np.ascontiguousarray(rows, self.dtype)
        if n_rows != self.n_rows[shard]:
            path, listed = self.paths[shard], self.n_rows[shard]
            raise EarshotError(f"{path} has {n_rows} rows where its index has {listed}. {files.MEND}")


class Mapped:
    """What maps the rows of shards from copies of theirs that can be mapped.

    A copy is made where it isn't there, and compared with its checksum when a window of the shard is first asked for.
    """

    def __init__(self, shards: Shards, copies: Path):
        """Make what copies are missing in a folder; copies of other shards go."""
        self.shards, self.copies = shards, [copies / f"{path.stem}.npy" for path in shards.paths]
        self._mapped: dict[int, np.ndarray] = {}
        for other in {*copies.glob("part-*.npy")} - {*self.copies}:
            other.unlink(missing_ok=True)
        for shard, copy in enumerate(self.copies):
            if not copy.exists():
                self._make(shard)

    def __call__(self, shard: int) -> np.ndarray:
        """Return the rows of a shard: shape (n, F)."""
        if shard not in self._mapped:
            if not seal.is_whole(self.copies[shard]):
                tqdm.write(f"{self.copies[shard]} has changed since it was written, and is made anew", file=sys.stderr)
                self._make(shard)
            self._mapped[shard] = np.asarray(np.load(self.copies[shard], mmap_mode="r"))
        return self._mapped[shard]

    def _make(self, shard: int) -> None:
        header = {"descr": self.shards.dtype.str, "fortran_order": False, "shape": self.shards.shape(shard)}
        with files.replacing(self.copies[shard]) as temporary:
            with temporary.open("wb") as file:  # not by a map, by which a full disk ends the process without a word
                np.lib.format.write_array_header_1_0(file, header)
                for rows in self.shards.pieces(shard):
                    rows.tofile(file)
            seal.append(temporary, self.copies[shard])


class Streamed:
    """What reads shards from their files, and keeps those in memory that were asked for last."""

    def __init__(self, shards: Shards, at_once: int):
        """Take the files; `at_once` shards are in memory together."""
        self.shards, self.at_once = shards, at_once
        self._held: dict[int, np.ndarray] = {}

    def __call__(self, shard: int) -> np.ndarray:
        """Return the rows of a shard: shape (n, F)."""
        rows = self._held.pop(shard, None)
        if rows is None:
            while len(self._held) >= self.at_once:
                del self._held[next(iter(self._held))]
            rows, row = np.empty(self.shards.shape(shard), self.shards.dtype), 0
            for some in self.shards.pieces(shard):
                rows[row : row + len(some)] = some
                row += len(some)
        self._held[shard] = rows  # the last: a dictionary is in the order of what was put in
        return rows


def read_features(folder: Path, recipe: dict[str, Any], at_once: int | None = None) -> Features:
    """Read an input's features, if they were made with the settings of `recipe`.

    Parameters
    ----------
    folder : data/features/DATASET/INPUT
    recipe : settings that the features' recipe must have; it may have more
    at_once : so many shards are in memory at a time, read from their files when a window of theirs is asked for. By
        default all are mapped from a copy in data/cache: rows that are not read take no memory, and processes share
        those that are

    Raises
    ------
    EarshotError
        If a file is missing or torn, or was made with other settings: names the key, both values and the command.
    """
    made_by = stored.recipe_of(folder)
    for key, value in recipe.items():
        if made_by.get(key) != value:
            raise EarshotError(
                f"{folder} was made with {recipe['input']}.{key} = {made_by.get(key)}, and {value} is asked for. Set "
                f"it in params.yaml and run `dvc repro features@{folder.parent.name}`, or try several values"
                f" with `dvc exp run -S`"
            )
    index = stored.index(folder)
    n_rows = index.groupby("part", sort=False)["rows"].sum()
    paths = [folder / name for name in n_rows.index]
    kept.share(kept.home(folder.name, recipe, folder.parent.name), paths)
    shards = Shards(paths, n_rows.tolist(), *stored.kind(paths[0]))
    if at_once is None:
        copies = project.cache("rows", folder.parent.name, f"{folder.name}-{provenance.digest(recipe)[:16]}")
        read: Callable[[int], np.ndarray] = Mapped(shards, copies)
    else:
        read = Streamed(shards, at_once)
    starts = _starts(n_rows)
    rows = Rows(starts, (int(n_rows.sum()), shards.width), shards.dtype, read)
    return Features(rows, dict(zip(index["recording"], _starts(index["rows"]), strict=True)), starts)


def _starts(n_rows: pd.Series) -> list[int]:
    return np.cumsum([0, *n_rows])[:-1].tolist()
