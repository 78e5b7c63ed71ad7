"""Buckets on disk: records that are written in any order and read bucket by bucket, so that memory stays flat."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

BUFFER = 64 * 2**20  # bytes that wait in memory, of all buckets together


class Buckets:
    """Files of records, one for each bucket, in a folder that is made for them."""

    def __init__(self, folder: Path, dtype: np.dtype):
        self.folder, self.dtype = folder, dtype
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []
        self._bytes = 0
        folder.mkdir(parents=True)

    def put(self, buckets: np.ndarray, records: np.ndarray) -> None:
        """Put each record into a bucket, behind those that are there; both have shape (n,)."""
        if not len(records):
            return
        self._waiting.append((buckets, records))
        self._bytes += records.nbytes
        if self._bytes > BUFFER:
            self._write()

    def _write(self) -> None:
        if not self._waiting:
            return
        buckets, records = (np.concatenate(part) for part in zip(*self._waiting, strict=True))
        order = np.argsort(buckets, kind="stable")
        numbers, first = np.unique(buckets[order], return_index=True)
        for number, some in zip(numbers, np.split(order, first[1:]), strict=True):
            with (self.folder / str(number)).open("ab") as file:
                records[some].tofile(file)
        self._waiting, self._bytes = [], 0

    def numbers(self) -> list[int]:
        """Return the buckets that hold a record, in order."""
        self._write()
        return sorted(int(path.name) for path in self.folder.iterdir())

    def pieces(self, number: int, size: int) -> Iterator[np.ndarray]:
        """Yield the records of a bucket, at most `size` at a time; none of a bucket that holds none."""
        self._write()
        path = self.folder / str(number)
        if path.exists():
            with path.open("rb") as file:
                while len(piece := np.fromfile(file, self.dtype, size)):
                    yield piece

    def take(self, number: int) -> np.ndarray:
        """Return all records of a bucket and remove it."""
        [records] = self.pieces(number, -1)
        (self.folder / str(number)).unlink()
        return records
