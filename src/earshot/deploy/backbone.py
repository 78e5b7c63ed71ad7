"""The backbone that a model is of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from earshot import backbones
from earshot.backbones import BackboneCard
from earshot.errors import EarshotError
from earshot.trained.model_folder import BACKBONES


def card_of(settings: dict[str, Any]) -> BackboneCard | None:
    """Return the card of the backbone that a model's settings name; None where they name none.

    Of a model that was trained on from a backbone's weights, and runs without these, the card may be gone: None.
    """
    if name := settings["input"].get("backbone"):
        return backbones.load_card(name)
    try:
        return backbones.load_card(name) if (name := settings["model"].get("backbone")) else None
    except EarshotError:
        return None


def carry_along(settings: dict[str, Any], folder: Path) -> None:
    """Put the backbone that computes a model's input into the model's folder, where it has one."""
    name = settings["input"].get("backbone")
    if name and not (folder / BACKBONES).exists():
        backbones.carry(name, folder / BACKBONES)
