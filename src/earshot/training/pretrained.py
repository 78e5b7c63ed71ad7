"""What a model has of a backbone: names of classes as numbers, weights to begin with, and a way back to these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from earshot import backbones, models
from earshot.batches.windows import Windows
from earshot.errors import EarshotError

if TYPE_CHECKING:
    from earshot.batches.prepare import Data

Weights = dict[str, torch.Tensor]
BATCH_SIZE = 32


def completed(chosen: Mapping[str, Any], data: Data) -> dict[str, Any]:
    """Return a model's settings with what follows from its dataset, its input and its backbone, if it has one.

    Raises
    ------
    EarshotError
        If they don't fit, or the input has another sample rate than the backbone.
    """
    known, name = data.input.columns, chosen.get("backbone")
    if name:
        card, known = backbones.load_card(name), backbones.load(name).classes
        if data.input.sample_rate != card.sample_rate:
            raise EarshotError(
                f"model={chosen['name']}: the backbone {name} takes {card.sample_rate} Hz, and the input "
                f"{data.recipe['input']} has {data.input.sample_rate}: use one of {card.sample_rate} Hz"
            )
        chosen = {**chosen, "width": backbones.width_of(card)}
    return models.completed(chosen, data.card.task, data.classes, known)


def begin(net: nn.Module, chosen: Mapping[str, Any], training: Windows) -> None:
    """Give a model the weights of its backbone; an output that these don't have is solved for first."""
    if "backbone" not in chosen:
        return
    net.model.begin(backbones.weights_of(chosen["backbone"]))
    if net.model.members is None:
        net.eval()
        with torch.inference_mode():
            hidden = torch.cat([net.model.hidden(x) for x in training.batches(BATCH_SIZE)])
        net.model.probe(hidden.clone(), training.labels)


def interpolated(before: Weights, after: Weights, share: float) -> Weights:
    """Return weights a share of the way from before training to after it (Wortsman et al. 2022, arXiv:2109.01903)."""
    return {
        name: torch.lerp(before[name], value, share) if value.is_floating_point() else value
        for name, value in after.items()
    }
