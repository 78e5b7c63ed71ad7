"""The interface that every input class implements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    import torch


class Input(Protocol):
    """A frozen dataclass whose fields are its settings: `sample_rate`, and the keys of `features.NAME` in params.yaml.

    An input may have `extract_windows`, which does what `extract` does of each of many windows of one length, together:
    (B, samples) -> (B, T, F).

    `earshot.inputs.frames.OverTime` has all of it for inputs that are made of frames, but for `extract` and the frames;
    `earshot.inputs.per_window.PerWindow` for those that make a row of each window, but for `of_window` and the columns.
    """

    @property
    def sample_rate(self) -> int:
        """Of the samples that it takes, in Hz."""
        ...

    @property
    def standardised(self) -> bool:
        """Whether a model first scales its rows by statistics of the training part."""
        ...

    @property
    def columns(self) -> list[str] | None:
        """Names of the F features, where they have names."""
        ...

    @property
    def takes_windows(self) -> bool:
        """Whether it makes one row of each window, so that the windows' `length` and `hop` in seconds are fields too.

        Its section of params.yaml may then hold `clip_seconds`: where recordings are short, each is one window, its
        `length` that and its `hop` None. Without it short recordings have windows as long ones do.
        """
        ...

    def extract(self, samples: np.ndarray) -> np.ndarray:
        """Turn a stretch of sound, mono, float32, shape (samples,), into rows: shape (T, F)."""
        ...

    def rows(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Do the same with a recording that comes in blocks, some rows at a time."""
        ...

    def first_row(self, start: float) -> float:
        """Return the row with which a window begins that starts at `start` seconds."""
        ...

    def n_rows(self, length: float) -> int:
        """Return how many rows a window of `length` seconds has: it is a view of them, nothing is kept twice."""
        ...

    def finish(self, batch: torch.Tensor) -> torch.Tensor:
        """Do on a batch of windows, shape (B, T, F), what belongs to the representation itself; return float32."""
        ...
