"""A backbone ready to use: windows of sound in, embeddings and class scores out."""

from __future__ import annotations

import csv
import functools
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from earshot.backbones.card import BackboneCard, Classes, MobileNetV3, load_card
from earshot.backbones.fetch import obtain
from earshot.errors import EarshotError

OUTPUTS = ("embedding", "scores")
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
    network, *others = obtain(card)
    named = dict(zip([file.path for file in card.files], [network, *others], strict=True))
    if isinstance(card.network, MobileNetV3):
        from earshot.backbones import mobilenet  # torch takes seconds

        run = mobilenet.runner(network, card)
    else:
        from earshot.backbones import graph

        run = graph.runner(network, card.network)
    return Backbone(card, class_names(named[card.classes.file], card.classes), run)


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
