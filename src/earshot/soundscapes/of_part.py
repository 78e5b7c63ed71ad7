"""The soundscape of a part of a dataset's fold, and what a model hears in it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from earshot import files, project
from earshot.datasets import manifest
from earshot.datasets.card import Card
from earshot.datasets.reading import reading_of
from earshot.detection import detector as detectors
from earshot.soundscapes.hear import Heard, hear
from earshot.soundscapes.mix import Sound, clips

PARTS = ("validation", "test", "train")  # the number of a part is a part of the seed
KEPT = 32  # recordings in memory


def heard(card: Card, params: Mapping[str, Any], settings: dict[str, Any], net: torch.nn.Module, part: str) -> Heard:
    """Have a model hear the soundscape of a part of its own fold of the grouped protocol.

    Every model of the fold hears the same one.

    Parameters
    ----------
    params : as params.yaml has them
    settings, net : the trained model

    Raises
    ------
    EarshotError
        If none can be mixed from the part.
    """
    setting = params["events"][card.task]
    split = files.read_table(project.split(card.name, "grouped"))
    spans = split[(split["fold"] == settings["fold"]) & (split["part"] == part)].reset_index(drop=True)
    detector = detectors.of_soundscapes(settings, net, setting["step"])
    rate, seed = detector.sample_rate, [PARTS.index(part), settings["fold"]]
    mixed = clips(spans, sound_of(card, params, rate), rate, setting, seed)
    return hear(detector, mixed, setting["alarm"])


def sound_of(card: Card, params: Mapping[str, Any], rate: int) -> Sound:
    """Return what loads a dataset's recordings at a sample rate, and keeps some of them."""
    reading, paths = reading_of(card, params["windows"]), manifest.paths(card.name)

    @functools.lru_cache(maxsize=KEPT)
    def sound(recording: str) -> np.ndarray:
        return reading(recording).load(paths[recording], rate)

    return sound
