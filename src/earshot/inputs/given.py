"""Features that a dataset gives in place of recordings: they are taken as they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from earshot.errors import EarshotError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Given:
    """The columns of a table of features, one row for each recording: shape (1, F).

    `table` is the name of its file, `names` are those of the columns. No sound can be turned into such a row.
    """

    table: str
    names: tuple[str, ...]

    standardised: ClassVar[bool] = True
    takes_windows: ClassVar[bool] = False
    hop: ClassVar[None] = None  # a recording is one window

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))

    @property
    def columns(self) -> list[str]:
        """Names of the features, in the table's order."""
        return list(self.names)

    @property
    def sample_rate(self) -> int:
        """Raise an error: it takes no samples."""
        raise EarshotError(
            f"this model takes the features of a table ({self.table}), and nothing here computes those from sound"
        )

    def extract(self, samples: np.ndarray) -> np.ndarray:
        """Raise an error, as `sample_rate` does."""
        raise AssertionError(self.sample_rate)

    def rows(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Raise an error, as `sample_rate` does."""
        raise AssertionError(self.sample_rate)

    def first_row(self, start: float) -> float:
        """Return 0: a recording has one row."""
        return 0.0

    def n_rows(self, length: float) -> int:
        """Return 1: a window is one row."""
        return 1

    def finish(self, batch: torch.Tensor) -> torch.Tensor:
        """Return the batch as it is."""
        return batch
