"""The samples of many recordings in one file, mapped: a file each would be too many to be mapped at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np


class Sounds(Sequence[np.ndarray]):
    """Samples by the number of the recording, shape (n,) each."""

    def __init__(self, path: Path, samples: Iterable[np.ndarray], dtype: type[np.number] = np.int16):
        """Write what `samples` yields to a file, as numbers of a type."""
        count = [0]
        with path.open("wb") as file:
            for some in samples:
                some.astype(dtype).tofile(file)
                count.append(len(some))
        self._edges = np.cumsum(count, dtype=np.int64)
        empty = self._edges[-1] == 0  # nothing can't be mapped
        self._all = np.empty(0, dtype) if empty else np.memmap(path, dtype, "r").view(np.ndarray)

    def __len__(self) -> int:
        return len(self._edges) - 1

    def __getitem__(self, number: int) -> np.ndarray:  # type: ignore[override]
        return self._all[self._edges[number] : self._edges[number + 1]]
