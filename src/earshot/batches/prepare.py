"""The features and windows that a config selects, as the stages before training made them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from earshot import files, inputs, project
from earshot.batches.features import Features, read_features
from earshot.batches.windows import Windows, windows_in
from earshot.datasets import manifest
from earshot.datasets.card import Card, load_card, trained_on
from earshot.datasets.experiments import check_input
from earshot.errors import EarshotError
from earshot.inputs import Input, from_table, stored
from earshot.settings import window_of

READ = ["dataset", "datasets", "task", "input", "audio", "features", "windows"]  # the settings that select features
SHUFFLE = "model.training.shuffle_shards"  # and that says how they are read


@dataclass(frozen=True)
class Data:
    """A dataset's features of one input.

    recipe : the settings that made the features
    digest : of the features, which are in the folder `path`
    """

    card: Card
    input: Input
    recipe: dict[str, Any]
    features: Features
    classes: list[str]
    digest: str
    path: Path


def dataset_of(cfg: DictConfig) -> str:
    """Return the config's dataset, by default the one in params.yaml's datasets with the config's task.

    Raises
    ------
    EarshotError
        If no dataset has the task, or several have.
    """
    if cfg.dataset is not None:
        return str(cfg.dataset)  # 2024 is a number to Hydra
    candidates = [name for name in trained_on(cfg.datasets) if load_card(name).task == cfg.task]
    if len(candidates) != 1:
        raise EarshotError(
            f"params.yaml's datasets ({', '.join(cfg.datasets)}) have {len(candidates)} of task '{cfg.task}': "
            "say which one with dataset=NAME"
        )
    return candidates[0]


def load(cfg: DictConfig) -> Data:
    """Read the features that the config selects; shard by shard where its model is trained so."""
    card = load_card(dataset_of(cfg))
    check_input(card, cfg.input)
    path = project.features(card.name, cfg.input)
    params = OmegaConf.to_container(cfg, resolve=True)
    built = inputs.build(cfg.input, params, card.task, card.clips) if card.has_sound else from_table.given(path)
    recipe = inputs.recipe(cfg.input, built)
    features = read_features(path, recipe, OmegaConf.select(cfg, SHUFFLE))
    return Data(
        card,
        built,
        recipe,
        features,
        manifest.classes_of(manifest.read(card.name)),
        stored.recipe_of(path)["digest"],
        path,
    )


def shared(cfg: DictConfig) -> Data:
    """Return the features that the config selects, read once for all runs of a process."""
    selection = OmegaConf.masked_copy(cfg, READ)
    OmegaConf.update(selection, SHUFFLE, OmegaConf.select(cfg, SHUFFLE), force_add=True)
    return _shared(OmegaConf.to_yaml(selection, resolve=True))


@functools.lru_cache(maxsize=2)
def _shared(selection: str) -> Data:
    return load(OmegaConf.create(selection))


def part(cfg: DictConfig, data: Data, name: str) -> Windows:
    """Return the windows of one part of the config's protocol and fold.

    Raises
    ------
    EarshotError
        If the split has no such fold, or the dataset is for testing alone.
    """
    if data.card.test_only:
        raise EarshotError(f"{data.card.name} is for testing alone (test_only in its card): no model is trained on it")
    path = project.split(data.card.name, cfg.protocol)
    split = files.read_table(path)
    spans = split[(split["fold"] == cfg.fold) & (split["part"] == name)].drop(columns=["fold", "part"])
    if spans.empty:
        raise EarshotError(f"fold={cfg.fold} is not in {path}, which has folds 0 to {split['fold'].max()}")
    window = window_of(cfg.windows, data.card.task)
    return Windows(
        data.features, windows_in(spans.reset_index(drop=True), data.input, window), data.input, data.classes
    )
