"""Base class of the inputs that are computed frame by frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np

from earshot.audio.cut import stretches

if TYPE_CHECKING:
    import torch

AT_ONCE = 2**15  # samples whose frames are computed at a time: few enough for the processor's cache


class Framed(Protocol):
    """What a subclass of `OverTime` has."""

    @property
    def sample_rate(self) -> int:
        """Of the samples, in Hz."""
        ...

    @property
    def frame_length(self) -> int:
        """Samples that a frame sees."""
        ...

    @property
    def hop_length(self) -> int:
        """Samples from frame to frame."""
        ...

    def extract(self, samples: np.ndarray) -> np.ndarray:
        """Compute the rows of a stretch of sound: shape (T, F)."""
        ...


class OverTime:
    """Frames of `frame_length` samples, one every `hop_length` samples; frame k begins at sample k * hop_length.

    So a window that starts on a frame is a slice of its recording's rows. For classes that are `Framed`.
    """

    standardised: ClassVar[bool] = False
    columns: ClassVar[list[str] | None] = None
    takes_windows: ClassVar[bool] = False

    def __post_init__(self: Framed) -> None:
        """Check the frames.

        Raises
        ------
        ValueError
            If they have no samples, or do not move.
        """
        if self.sample_rate < 1:
            raise ValueError(f"sample_rate is {self.sample_rate}, and must be 1 or more")
        if self.frame_length < 1 or self.hop_length < 1:
            raise ValueError(
                f"frames of {self.frame_length} samples that begin every {self.hop_length}; both must be 1 or more"
            )

    def rows(self: Framed, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Compute the rows of a recording that comes in blocks, some at a time."""
        n = max(1, AT_ONCE // self.hop_length)
        yield from map(self.extract, stretches(blocks, self.frame_length, self.hop_length, n))

    def first_row(self: Framed, start: float) -> float:
        """Return the frame that begins at `start` seconds."""
        return start * self.sample_rate / self.hop_length

    def n_rows(self: Framed, length: float) -> int:
        """Return how many whole frames fit into `length` seconds."""
        return 1 + (round(length * self.sample_rate) - self.frame_length) // self.hop_length

    def finish(self, batch: torch.Tensor) -> torch.Tensor:
        """Return the batch as it is."""
        return batch
