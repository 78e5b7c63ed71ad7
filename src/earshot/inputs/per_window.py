"""Base class of the inputs that make one row of each window."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np

from earshot.audio.cut import beginning, stretches

if TYPE_CHECKING:
    import torch


class Windowed(Protocol):
    """What a subclass of `PerWindow` has."""

    @property
    def sample_rate(self) -> int:
        """Of the samples, in Hz."""
        ...

    @property
    def length(self) -> float:
        """Of a window, in seconds."""
        ...

    @property
    def hop(self) -> float | None:
        """Seconds from window to window; None: a recording is one window, its first `length` seconds."""
        ...

    def rows(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Compute the rows of a recording that comes in blocks, some at a time."""
        ...

    def of_window(self, samples: np.ndarray) -> np.ndarray:
        """Compute a window's row: (samples,) -> (1, F), float32."""
        ...


class PerWindow:
    """Row k is of the window that begins at k * `hop` seconds. For classes that are `Windowed`."""

    standardised: ClassVar[bool] = True
    takes_windows: ClassVar[bool] = True

    def __post_init__(self: Windowed) -> None:
        """Check the windows.

        Raises
        ------
        ValueError
            If they have no length.
        """
        if not 0 < self.length < math.inf:
            raise ValueError("clip_seconds must be above 0")

    def extract(self: Windowed, samples: np.ndarray) -> np.ndarray:
        """Return the rows of a recording's windows: float32, shape (T, F)."""
        return np.concatenate(list(self.rows([samples])))

    def rows(self: Windowed, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Do the same with a recording that comes in blocks, a window at a time."""
        n = round(self.length * self.sample_rate)
        if self.hop is None:
            yield self.of_window(beginning(blocks, n))
        else:
            yield from map(self.of_window, stretches(blocks, n, self.hop * self.sample_rate, 1))

    def first_row(self: Windowed, start: float) -> float:
        """Return the window that begins at `start` seconds."""
        return 0.0 if self.hop is None else start / self.hop

    def n_rows(self, length: float) -> int:
        """Return 1: a window is one row."""
        return 1

    def finish(self, batch: torch.Tensor) -> torch.Tensor:
        """Return the batch as it is."""
        return batch
