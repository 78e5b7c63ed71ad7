"""A trained model that takes sound block by block and yields the probabilities of each window."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from earshot.audio import rise
from earshot.audio.cut import stretches
from earshot.audio.padding import padded
from earshot.detection.contexts import Context, contexts
from earshot.detection.rule import Rule, rules_of
from earshot.errors import EarshotError
from earshot.trained import model_folder, predict

GRID = "frames"  # in the settings of a model that has frames


@dataclass(frozen=True)
class Window:
    """A model's prediction for a window, or for a frame of a model that has frames.

    start, seconds : its place in the sound
    probabilities : of each class, float32, shape (classes,)
    rise : time (in the sound, seconds) and height (dB) of the greatest rise of level in a hop's length near its start,
        where it was asked for
    """

    start: float
    seconds: float
    probabilities: np.ndarray
    rise: tuple[float, float] | None = None


@dataclass(frozen=True)
class Detector:
    """A trained model, with the settings of its training.

    hop : seconds between the starts of two windows; a shorter hop is finer in time, and slower. Of a model of frames
        those between the starts of what it hears at a time, see `contexts`: a shorter hop is sooner, and slower; None:
        the longest that there is
    """

    settings: dict[str, Any]
    net: torch.nn.Module
    hop: float | None

    @classmethod
    def load(cls, folder: Path, hop: float | None = None) -> Detector:
        """Read a trained model's folder, with config.json and model.safetensors.

        Parameters
        ----------
        folder : of the model
        hop : seconds; by default that of the model's operating point, or as in training, and a window's length where
            that took whole recordings. Of a model of frames None is the default

        Raises
        ------
        EarshotError
            If the folder doesn't hold a whole model.
        """
        settings, weights = model_folder.read(folder)
        try:
            _ = model_folder.input_of(settings).sample_rate  # a model of given features says that it takes no sound
            point = settings.get("operating_point")
            net = model_folder.restore(settings, weights)
            if GRID in settings:
                found = cls(settings, net, hop)
            else:
                hop = hop or (point and point["step"])
                found = cls(settings, net, hop or settings["hop"])
                if not hop and found.of_clips:
                    found = replace(found, hop=found.length)
            _ = found.classes, found.sample_rate, found.length, found.rules()
            found.try_silence()
        except Exception as error:  # whatever settings and weights of a stranger make of input and network
            said = " ".join(str(error).split()) if isinstance(error, EarshotError) else f"{error!r}. Train it again"
            raise EarshotError(f"{folder / 'config.json'} does not describe a model that takes sound: {said}") from None
        return found

    def try_silence(self) -> None:
        """Predict a window of silence.

        Raises
        ------
        EarshotError
            If that gives no probabilities.
        """
        silence = np.zeros((1, round(self.length * self.sample_rate)), np.float32)
        of = predict.of_frames if self.grid else predict.of_samples
        p = of(self.settings, self.net, silence)
        if p.shape[-1] != len(self.classes) or not np.all((p >= 0) & (p <= 1)):
            raise EarshotError("a window of silence has no probabilities")

    @property
    def classes(self) -> list[str]:
        """The classes, in the order of the probabilities."""
        return self.settings["classes"]

    @property
    def sample_rate(self) -> int:
        """The sample rate of the model's input, in Hz."""
        return self.settings["input"]["sample_rate"]

    def rules(self, **given: float | None) -> dict[str, Rule]:
        """Return the rule of each class, see `rule.rules_of`."""
        return rules_of(self.settings, **given)

    @property
    def of_clips(self) -> bool:
        """Whether the model was trained on whole recordings, up to a length."""
        return self.settings["input"].get("hop", 0) is None

    @property
    def grid(self) -> dict[str, float] | None:
        """Of a model of frames their times, see `models.frames.Frames.grid`; None of others."""
        return self.settings.get(GRID)

    @property
    def step(self) -> float:
        """Seconds from one score to the next."""
        return self.grid["step"] if self.grid else self.hop

    @property
    def length(self) -> float:
        """The length of a window, in seconds; of a model of frames that of what it hears at a time."""
        if self.grid:
            return self.grid["seconds"]
        return self.settings["input"]["length"] if self.of_clips else self.settings["seconds"]

    def windows(
        self, blocks: Iterable[np.ndarray], at_once: int = predict.BATCH_SIZE, rises: bool = False
    ) -> Iterator[Window]:
        """Yield the model's predictions for the windows of a sound, prepared as in training, or for its frames.

        Parameters
        ----------
        blocks : mono at `sample_rate` Hz, float32, shape (samples,)
        at_once : windows in a batch; affects speed and delay alone
        rises : look for rises of level, which rules with `snap` need

        Raises
        ------
        EarshotError
            If the sound is shorter than a window, or the model returns values that are not finite.
        """
        if self.grid:
            for context in contexts(blocks, self.sample_rate, self.grid, self.hop):
                yield from self._frames(context, rises)
            return
        n_samples, blocks = round(self.length * self.sample_rate), iter(blocks)
        first = self._padded(_at_least(n_samples, blocks))
        if len(first) < n_samples:
            if not self.of_clips or not len(first):
                seconds = len(first) / self.sample_rate
                raise EarshotError(f"lasts {seconds:g} s, less than the model's window of {self.length:g} s")
            yield from self._predict(0, [first], rises)
            return
        each = stretches(itertools.chain([first], blocks), n_samples, self.hop * self.sample_rate, 1)
        done = 0
        while batch := list(itertools.islice(each, at_once)):
            yield from self._predict(done, batch, rises)
            done += len(batch)

    def _padded(self, samples: np.ndarray) -> np.ndarray:
        """Pad what is shorter than a window as in training."""
        pad = self.settings.get("pad")
        return padded(samples, round(pad["seconds"] * self.sample_rate), pad["how"]) if pad else samples

    def _predict(self, number: int, batch: list[np.ndarray], rises: bool) -> Iterator[Window]:
        found = _finite(predict.of_samples(self.settings, self.net, np.stack(batch)))
        for later, (samples, probabilities) in enumerate(zip(batch, found, strict=True)):
            start = (number + later) * self.hop
            risen = self._rise(start, samples) if rises else None
            yield Window(start, len(samples) / self.sample_rate, probabilities, risen)

    def _frames(self, context: Context, rises: bool) -> Iterator[Window]:
        """Yield the predictions for the frames that are taken from a context."""
        samples, begin, first, stop = context
        found = _finite(predict.of_frames(self.settings, self.net, samples[None])[0, first:stop])
        ends = (begin + np.arange(first, stop + 1)) * self.step
        ends[-1] = min(ends[-1], begin * self.step + len(samples) / self.sample_rate)
        risen = rise.of_each(samples, self.sample_rate, self.step, first, stop) if rises else [None] * len(found)
        for start, end, probabilities, each in zip(ends[:-1], ends[1:], found, risen, strict=True):
            there = each and (begin * self.step + each[0], each[1])
            yield Window(float(start), float(end - start), probabilities, there)

    def _rise(self, start: float, samples: np.ndarray) -> tuple[float, float] | None:
        """Return the greatest rise in one hop; those of all windows are looked for in the whole sound but its ends."""
        found = rise.greatest(samples, self.sample_rate, self.hop)
        return found and (start + found[0], found[1])


def step_of(settings: Mapping[str, Any], step: float) -> float:
    """Return the seconds from score to score of a trained model that is to have one each `step`, if it can."""
    grid = settings.get(GRID)
    return grid["step"] if grid else step


def of_soundscapes(settings: dict[str, Any], net: torch.nn.Module, step: float) -> Detector:
    """Return a detector with a score each `step` seconds, or for each frame of a model that has frames."""
    return Detector(settings, net, None if GRID in settings else step)


def _finite(found: np.ndarray) -> np.ndarray:
    if not np.isfinite(found).all():
        raise EarshotError("is so loud that the model finds no number for it")
    return found


def _at_least(n_samples: int, blocks: Iterator[np.ndarray]) -> np.ndarray:
    """Take blocks until there are `n_samples` samples, or no more blocks."""
    taken = [np.empty(0, np.float32)]
    while sum(map(len, taken)) < n_samples and (block := next(blocks, None)) is not None:
        taken.append(block)
    return np.concatenate(taken)
