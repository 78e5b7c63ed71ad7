"""A backbone ready to use: windows of sound in, embeddings and class scores out."""

from __future__ import annotations

import csv
import functools
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from earshot.backbones.card import SUFFIX, BackboneCard, Classes, MobileNetV3, card_path, load_card
from earshot.backbones.fetch import files_of
from earshot.efficientat.level import gains
from earshot.errors import EarshotError

if TYPE_CHECKING:
    import torch

    from earshot.efficientat.mobilenet import MobileNet

Run = Callable[[np.ndarray], dict[str, np.ndarray]]


@dataclass(frozen=True)
class Backbone:
    """A network that others trained.

    card : what is known of it
    classes : names, in the order of its scores
    run : samples, (B, n), float32, mono at the card's rate and full scale 1 -> `embedding`, (B, D), where it has one,
        and `scores`, (B, C): the probability of each class; both float32
    """

    card: BackboneCard
    classes: list[str]
    run: Run

    def at_level(self, samples: np.ndarray, level: float | None) -> dict[str, np.ndarray]:
        """Return what it says of windows, (B, n), each brought to a level: its RMS in dB below full scale."""
        if level is not None:
            samples = samples * gains(np.square(samples).mean(axis=1), level)[:, None]
        return self.run(samples)

    def over(self, samples: np.ndarray, n: int, hop: int, level: float | None = None) -> dict[str, np.ndarray]:
        """Return the same for all windows of `n` samples, one every `hop`, that lie in a sound, (m,)."""
        windows = np.lib.stride_tricks.sliding_window_view(samples, n)[::hop]
        own = getattr(self.run, "over", None)  # of a run that computes what windows share once
        if own:
            factors = None if level is None else gains(np.square(windows).mean(axis=1), level)
            if found := own(samples, n, hop, factors):
                return found
        return self.at_level(windows.copy(), level)


def load(name: str) -> Backbone:
    """Return a backbone; it is fetched the first time, and kept for the process.

    Raises
    ------
    EarshotError
        If its card is wrong, it can't be obtained, or the library that runs it is missing.
    """
    return _load(name, load_card(name).model_dump_json())


@functools.lru_cache(maxsize=2)
def _load(name: str, _as_card_says: str) -> Backbone:
    card = load_card(name)
    paths = files_of(name)
    named = dict(zip([file.path for file in card.files], paths, strict=True))
    if isinstance(card.network, MobileNetV3):
        from earshot.backbones import mobilenet  # torch takes seconds

        run = mobilenet.Runner(paths[0], card)
    else:
        from earshot.backbones import graph

        run = graph.runner(paths[0], card.network)
    return Backbone(card, class_names(named[card.classes.file], card.classes), run)


def weights_of(name: str) -> dict[str, torch.Tensor]:
    """Return the weights of a backbone that is a MobileNetV3, as `efficientat.mobilenet.MobileNet` has them.

    Raises
    ------
    EarshotError
        If it is another kind of network, or can't be obtained.
    """
    from earshot.backbones import weights

    card = load_card(name)
    width_of(card)
    return weights.read(files_of(name)[0], card.digest)


def network(name: str) -> MobileNet:
    """Return the network of a backbone that is a MobileNetV3, ready to predict.

    Raises
    ------
    EarshotError
        If it is another kind of network, or can't be obtained.
    """
    from earshot.backbones import mobilenet

    card = load_card(name)
    width_of(card)
    return mobilenet.fused(mobilenet.network(files_of(name)[0], card))


def carry(name: str, to: Path) -> None:
    """Write a backbone to a folder: its card, and beside it its files, the weights as safetensors.

    `to / NAME.yaml` then names it wherever the folder is, see `card.card_path`.
    """
    card, (first, *others) = load_card(name), files_of(name)
    files = [first, *others]
    if isinstance(card.network, MobileNetV3):
        from earshot.backbones import weights

        weights.read(first, card.digest)
        files = [*weights.kept(first), *others]
    (to / card.name).mkdir(parents=True)
    shutil.copy(card_path(name), to / f"{card.name}{SUFFIX}")
    for path in files:
        shutil.copy(path, to / card.name)


def width_of(card: BackboneCard) -> float:
    """Return the width of a backbone that is a MobileNetV3.

    Raises
    ------
    EarshotError
        If it is another kind of network.
    """
    if not isinstance(card.network, MobileNetV3):
        raise EarshotError(f"the backbone {card.name} is a {card.network.kind} file, which can't be trained on")
    return card.network.width


def class_names(path: Path, classes: Classes) -> list[str]:
    """Return the class names that a card's `classes` says.

    Raises
    ------
    EarshotError
        If the file has no such column or member.
    """
    try:
        if classes.member:
            with zipfile.ZipFile(path) as opened:
                lines = opened.read(classes.member).decode("utf-8").splitlines()
        else:
            lines = path.read_text("utf-8").splitlines()
        if not classes.column:
            return [line.strip() for line in lines if line.strip()]
        return [row[classes.column] for row in csv.DictReader(lines)]
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise EarshotError(f"{path} holds no class names as the card's `classes` says ({error})") from None
