"""A trained model that listens: sound in, block by block, the probabilities of its windows out."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from earshot.audio.cut import stretches
from earshot.errors import EarshotError
from earshot.trained import model_folder, predict


@dataclass(frozen=True)
class Window:
    """What a model makes of a window.

    start, seconds : where in the sound it is
    probabilities : of each class, float32, shape (classes,)
    """

    start: float
    seconds: float
    probabilities: np.ndarray


@dataclass(frozen=True)
class Detector:
    """A trained model, with the settings that it was trained with.

    hop : seconds from window to window; the shorter, the finer in time, and the slower
    """

    settings: dict[str, Any]
    net: torch.nn.Module
    hop: float

    @classmethod
    def load(cls, folder: Path, hop: float | None = None) -> Detector:
        """Read a trained model's folder, with config.json and model.safetensors.

        Parameters
        ----------
        folder : of the model
        hop : seconds; by default as in training, and a window's length where that took whole recordings

        Raises
        ------
        EarshotError
            If the folder doesn't hold a whole model.
        """
        settings, weights = model_folder.read(folder)
        try:
            found = cls(settings, model_folder.restore(settings, weights), hop or settings["hop"])
            if not hop and found.of_clips:
                found = replace(found, hop=found.length)
            _ = found.classes, found.sample_rate, found.length
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise EarshotError(
                f"{folder / 'config.json'} does not describe a model: {error!r}. Train it again"
            ) from None
        return found

    @property
    def classes(self) -> list[str]:
        """The classes, in the order of the probabilities."""
        return self.settings["classes"]

    @property
    def sample_rate(self) -> int:
        """Of the sound that the model takes, in Hz."""
        return self.settings["input"]["sample_rate"]

    @property
    def of_clips(self) -> bool:
        """Whether a window is a whole recording, up to a length."""
        return self.settings["input"].get("hop", 0) is None

    @property
    def length(self) -> float:
        """Of a window, in seconds."""
        return self.settings["input"]["length"] if self.of_clips else self.settings["seconds"]

    def windows(self, blocks: Iterable[np.ndarray], at_once: int = predict.BATCH_SIZE) -> Iterator[Window]:
        """Yield the model's windows of a sound, which it is given as in training.

        Parameters
        ----------
        blocks : mono at `sample_rate` Hz, float32, shape (samples,)
        at_once : windows that are computed together; changes nothing but speed and delay

        Raises
        ------
        EarshotError
            If the sound is shorter than a window, or the model has no number for it.
        """
        n_samples, blocks = round(self.length * self.sample_rate), iter(blocks)
        first = _at_least(n_samples, blocks)
        if len(first) < n_samples:
            if not self.of_clips or not len(first):
                seconds = len(first) / self.sample_rate
                raise EarshotError(f"lasts {seconds:g} s, less than the model's window of {self.length:g} s")
            yield from self._predicted(0, [first])
            return
        each = stretches(itertools.chain([first], blocks), n_samples, self.hop * self.sample_rate, 1)
        done = 0
        while together := list(itertools.islice(each, at_once)):
            yield from self._predicted(done, together)
            done += len(together)

    def _predicted(self, number: int, together: list[np.ndarray]) -> Iterator[Window]:
        found = predict.of_samples(self.settings, self.net, np.stack(together))
        if not np.isfinite(found).all():
            raise EarshotError("is so loud that the model finds no number for it")
        for later, probabilities in enumerate(found):
            yield Window((number + later) * self.hop, len(together[later]) / self.sample_rate, probabilities)


def _at_least(n_samples: int, blocks: Iterator[np.ndarray]) -> np.ndarray:
    """Take blocks until there are `n_samples` samples, or no more blocks."""
    taken = [np.empty(0, np.float32)]
    while sum(map(len, taken)) < n_samples and (block := next(blocks, None)) is not None:
        taken.append(block)
    return np.concatenate(taken)
