"""What a backbone says of each window: its embedding, or its scores."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from earshot import backbones
from earshot.audio.cut import beginning, stretches
from earshot.backbones import Backbone
from earshot.backbones.card import card_path
from earshot.efficientat import level
from earshot.errors import EarshotError
from earshot.inputs.per_window import PerWindow

AT_ONCE = 2**20  # samples in a batch of windows: more gains nothing and takes memory


@dataclass(frozen=True)
class Embedding(PerWindow):
    """A backbone's embedding of each window: shape (T, D), T windows, D numbers.

    `backbone` names a card of conf/backbones/; its sample rate and the SHA-256 of its network are settings too, so that
    rows of another network are never taken for these. `length` and `hop` are the windows' in seconds; where `hop` is
    None a recording is one window: its first `length` seconds. Each window is brought to `level`, an RMS in dB below
    full scale, before the network hears it; None: it stays as loud as it is.
    """

    backbone: str
    sha256: str
    sample_rate: int
    length: float
    hop: float | None
    level: float | None = None

    output: ClassVar[str] = "embedding"

    def __post_init__(self) -> None:
        """Check the settings; a ValueError says which is wrong."""
        super().__post_init__()
        level.checked(self.level)

    @classmethod
    def completed(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return settings of params.yaml with what follows from the backbone that they name."""
        if not isinstance(name := settings.get("backbone"), str):
            return dict(settings)
        card = backbones.load_card(name)
        return {**settings, "sample_rate": card.sample_rate, "sha256": card.digest or ""}

    @property
    def columns(self) -> list[str] | None:
        """Return None: the numbers have no names."""
        return None

    def rows(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Return the rows of a recording's windows, which comes in blocks: float32, shape (T, D), some at a time."""
        n = round(self.length * self.sample_rate)
        if self.hop is None:
            yield self.of_window(beginning(blocks, n))
            return
        hop, each = self.hop * self.sample_rate, max(1, AT_ONCE // n)
        if hop == round(hop):
            for stretch in stretches(blocks, n, hop, each):
                yield self._output(self.loaded().over(stretch, n, round(hop), self.level))
            return
        windows = stretches(blocks, n, hop, 1)
        while batch := list(itertools.islice(windows, each)):
            yield self.of_windows(np.stack(batch))

    def extract_windows(self, samples: np.ndarray) -> np.ndarray:
        """Return what `extract` does of each of some windows, computed together: (B, samples) -> (B, 1, D)."""
        n = round(self.length * self.sample_rate)
        each = max(1, AT_ONCE // n)
        rows = [self.of_windows(samples[first : first + each, :n]) for first in range(0, len(samples), each)]
        return np.concatenate(rows)[:, None]

    def of_window(self, samples: np.ndarray) -> np.ndarray:
        """Return a window's row: (samples,) -> (1, D), float32."""
        return self.of_windows(samples[None])

    def of_windows(self, samples: np.ndarray) -> np.ndarray:
        """Return the rows of some windows: float32, (B, samples) -> (B, D).

        Raises
        ------
        EarshotError
            If the backbone gives no such numbers, or see `loaded`.
        """
        return self._output(self.loaded().at_level(samples, self.level))

    def _output(self, found: dict[str, np.ndarray]) -> np.ndarray:
        if self.output not in found:
            raise EarshotError(f"the backbone {self.backbone} gives {' and '.join(found)} alone, and no {self.output}")
        return found[self.output]

    def loaded(self) -> Backbone:
        """Return the backbone.

        Raises
        ------
        EarshotError
            If it is another than the one that these settings are of, or can't be obtained.
        """
        backbone = backbones.load(self.backbone)
        if backbone.card.digest != self.sha256:
            raise EarshotError(
                f"{card_path(self.backbone)} is of another network (sha256 {backbone.card.digest}) than asked "
                f"for ({self.sha256}): take the former card, or run `dvc repro`"
            )
        return backbone


@dataclass(frozen=True)
class Tags(Embedding):
    """A backbone's scores of each window: shape (T, C), the probability of each of its C classes."""

    standardised: ClassVar[bool] = False
    output: ClassVar[str] = "scores"

    @property
    def columns(self) -> list[str]:
        """The backbone's classes."""
        return backbones.load(self.backbone).classes
