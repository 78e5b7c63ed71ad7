"""What a model has of a backbone: names of classes as numbers, weights to begin with, and a way back to these."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from earshot import backbones, models
from earshot.batches.windows import Windows
from earshot.errors import EarshotError

if TYPE_CHECKING:
    from earshot.augment import Augmenter
    from earshot.batches.prepare import Data

Weights = dict[str, torch.Tensor]
BATCH_SIZE = 32


def completed(cfg: DictConfig, data: Data) -> dict[str, Any]:
    """Return the config's model with what follows from its dataset, its input and its backbone, if it has one.

    Raises
    ------
    EarshotError
        If they don't fit, or the input has another sample rate than the model or its backbone takes.
    """
    chosen: dict[str, Any] = OmegaConf.to_container(cfg.model, resolve=True)
    known = data.input.columns
    if rate := getattr(models.class_of(chosen), "sample_rate", None):
        _check_rate(f"model={chosen['name']}", rate, data)
    if name := chosen.get("backbone"):
        card, known = backbones.load_card(name), backbones.load(name).classes
        _check_rate(f"model={chosen['name']}: the backbone {name}", card.sample_rate, data)
        chosen["width"] = backbones.width_of(card)
    return models.completed(chosen, labels_of(cfg, data.card.task), data.classes, known)


def _check_rate(whose: str, rate: int, data: Data) -> None:
    if data.input.sample_rate != rate:
        name = data.recipe["input"]
        raise EarshotError(
            f"{whose} takes {rate} Hz, and the input {name} has {data.input.sample_rate}: use one of {rate} Hz"
        )


def facts(cfg: DictConfig, task: str) -> dict[str, Any]:
    """Return what a run of the config depends on, beside its settings and features, if its model knows other classes.

    Returns
    -------
    The `labels` of its task, and the SHA-256 of its `backbone` if it has one; nothing for other models
    """
    if not hasattr(models.class_of(cfg.model), "completed"):
        return {}
    name = cfg.model.get("backbone")
    return {"labels": labels_of(cfg, task), "backbone": backbones.load_card(name).digest if name else None}


def labels_of(cfg: DictConfig, task: str) -> dict[str, Any] | None:
    """Return for each class of a task the classes of a backbone that stand for it, where conf/labels/ has the task."""
    found: dict[str, Any] | None = OmegaConf.to_container(cfg.labels).get(task)
    return found


def begin(net: nn.Module, chosen: Mapping[str, Any], training: Windows, augmenter: Augmenter | None) -> None:
    """Give a model the weights of its backbone; an output that these don't have is solved for first.

    It is solved for with all training windows, and with as many copies of each, changed by the augmenter, as the model
    asks for (`copies`; None where there is nothing to solve for).
    """
    if "backbone" not in chosen:
        return
    net.model.begin(backbones.weights_of(chosen["backbone"]))
    copies = net.model.copies
    if copies is None:
        return
    net.eval()
    with torch.inference_mode():
        hidden = torch.cat([net.model.hidden(x) for x in _heard(training, augmenter, copies)])
    net.model.probe(hidden.clone(), torch.cat([training.labels] * (copies + 1)))


def _heard(training: Windows, augmenter: Augmenter | None, copies: int) -> Iterator[torch.Tensor]:
    """Yield the training windows in their order, some at a time, and then so many changed copies of all."""
    yield from training.batches(BATCH_SIZE)
    for copy in range(copies):
        for step, x in enumerate(training.batches(BATCH_SIZE)):
            yield augmenter(x, copy, step)[0] if augmenter else x


def interpolated(before: Weights, after: Weights, share: float) -> Weights:
    """Return weights a share of the way from before training to after it (Wortsman et al. 2022, arXiv:2109.01903)."""
    return {
        name: torch.lerp(before[name], value, share) if value.is_floating_point() else value
        for name, value in after.items()
    }
