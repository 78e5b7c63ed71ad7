"""The random changes of a training's windows: what the config asks for, made for its input and its training part."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from earshot.augment import Augmenter, settings
from earshot.augment.draws import Draws
from earshot.batches.windows import Windows, statistics
from earshot.errors import EarshotError
from earshot.inputs import Input
from earshot.models.known_classes import REST
from earshot.schema.yaml_text import did_you_mean
from earshot.training import options
from earshot.training.pretrained import labels_of

if TYPE_CHECKING:
    from earshot.batches.prepare import Data

AT_HAND = 512  # windows that backgrounds are drawn from, where a training has some shards in memory at a time


def asked(cfg: DictConfig) -> settings.Augmentation:
    """Return the config's augmentation once it has been checked.

    Raises
    ------
    EarshotError
        Naming each key that is missing, unknown or wrong.
    """
    chosen = settings.read(OmegaConf.to_container(cfg.get("augmentation") or OmegaConf.create({}), resolve=True))
    if chosen.background and chosen.background.label == REST:
        rest = [name for name, labels in (labels_of(cfg, cfg.task) or {}).items() if labels == REST]
        named = chosen.background.model_copy(update={"label": rest[0]}) if rest else None
        return chosen.model_copy(update={"background": named})
    return chosen


def recorded(cfg: DictConfig) -> dict[str, dict]:
    """Return the operations that are done, with their settings, as JSON knows them."""
    return {name: operation.model_dump() for name, operation in asked(cfg).operations.items()}


def without_steps(cfg: DictConfig, net: nn.Module) -> list[str]:
    """Return the operations that a model which learns without gradient steps can't take: all, or those on labels."""
    operations = asked(cfg).operations
    return [name for name in operations if name == "mixup" or not getattr(net.model, "copies", None)]


def augmenter(
    cfg: DictConfig, data: Data, training: Windows, mean: torch.Tensor | None, rank: int = 0
) -> Augmenter | None:
    """Return what changes the batches of a training, or None where nothing is asked for.

    Parameters
    ----------
    mean : of the training windows, (F,), where it is known
    rank : of this process among those that train the model

    Raises
    ------
    EarshotError
        If an operation is not for such windows, or its background is no class of the dataset.
    """
    chosen = asked(cfg)
    if not chosen.operations:
        return None
    settings.check_kind(chosen, kind_of(data.input, training), cfg.input)
    if mean is None and {"time_masks", "frequency_masks"} & {*chosen.operations}:
        mean, _ = statistics(training)
    fill = torch.zeros(data.features.rows.shape[1]) if mean is None else mean
    noise = {}
    if chosen.background:
        most = AT_HAND if options.of(cfg).shuffle_shards else None
        noise = {"noise": _noise(chosen.background.label, data.classes, training, most)}
    return Augmenter(chosen, cfg.seed, data.input.sample_rate, fill, rank=rank, **noise)


def kind_of(built: Input, training: Windows) -> settings.Kind:
    """Return what the windows of an input are made of: it has samples where a row is one sample."""
    if getattr(built, "frame_length", None) == getattr(built, "hop_length", None) == 1:
        return "samples"
    return "rows" if training.length > 1 else "numbers"


def _noise(label: str, classes: list[str], training: Windows, most: int | None) -> Callable[[Draws, int], torch.Tensor]:
    """Return what draws training windows of one class; of the first ones, which stay in memory, if `most` are given."""
    if label not in classes:
        raise EarshotError(
            f"augmentation.background.label is {label}, which is no class; {did_you_mean(label, classes)}"
        )
    if training.multi_label:
        raise EarshotError("augmentation.background is for single labels, and the windows here have several")
    places = torch.nonzero(training.labels == classes.index(label))[:, 0]
    if most is not None:
        at_hand = training[places[:most].tolist()][0]
        return lambda draws, n: at_hand[draws.whole(0, len(at_hand) - 1, n)]

    def drawn(draws: Draws, n: int) -> torch.Tensor:
        return training[places[draws.whole(0, len(places) - 1, n)].tolist()][0]

    return drawn
