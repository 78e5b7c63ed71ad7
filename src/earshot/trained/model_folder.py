"""The models that the grouped protocol trained on a dataset."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from earshot import files, inputs, models, project
from earshot.errors import EarshotError
from earshot.inputs import Input
from earshot.trained import described, former

RUN = ["seed", "fold"]
FILES = ("config.json", "model.safetensors")
DIGEST = "sha256"  # in config.json; a model of an earlier version has none
BACKBONES = "backbones"  # a folder in the model's, with the backbone that it needs, where it was packaged


@dataclass(frozen=True)
class Model:
    """One trained run: what it was made of and the network, ready to predict."""

    settings: dict[str, Any]
    net: torch.nn.Module
    digest: str = ""  # of the weights, by which its run in MLflow is found

    @property
    def run(self) -> dict[str, int]:
        """The seed and fold that tell it from others of its experiment."""
        return {name: self.settings[name] for name in RUN}


def grouped_models(dataset: str, experiment: str, wiring: str, fold: int | None = None) -> Iterator[Model]:
    """Yield the models that the grouped protocol trained for an experiment, of one fold or of all.

    A model without wirings counts for every one.

    Raises
    ------
    EarshotError
        If there is none.
    """
    for folder in folders(project.models(dataset, experiment)):
        settings, weights = read(folder)
        wired = "wiring" not in settings["model"] or settings["wiring"] == wiring
        if settings["protocol"] == "grouped" and wired and fold in (None, settings["fold"]):
            yield Model(settings, restore(settings, weights), digest(folder))


def restore(settings: dict[str, Any], weights: dict[str, torch.Tensor]) -> nn.Module:
    """Build the model that `settings` (config.json) describes, with its weights, ready to predict.

    Raises
    ------
    EarshotError
        If they don't belong together.
    """
    standardised, n_classes = input_of(settings).standardised, len(settings["classes"])

    def build() -> nn.Module:
        return models.build(settings["model"], standardised, *settings["window_shape"], n_classes, where="config.json")

    with torch.device("meta"):  # without memory for weights: these may be others than the settings say
        expected = {name: value.shape for name, value in build().state_dict().items()}
    if expected != {name: value.shape for name, value in weights.items()}:
        raise EarshotError("the weights are not those of the model that config.json describes")
    net = build()
    net.load_state_dict(weights)
    return models.faster(net).eval()


def input_of(settings: dict[str, Any]) -> Input:
    """Build the input that a model was trained on."""
    return inputs.restore(settings["input"])


def folders(place: Path) -> list[Path]:
    """List the folders of an experiment's trained models, data/models/DATASET/INPUT-MODEL/*.

    Raises
    ------
    EarshotError
        If there is none.
    """
    found = sorted(path.parent for path in place.glob("*/config.json"))
    if not found:
        raise EarshotError(f"{place} holds no trained model. Run `dvc repro`")
    return found


def write(folder: Path, settings: dict[str, Any], weights: bytes) -> None:
    """Write config.json, with a digest of all, and model.safetensors."""
    with files.replacing(folder / "model.safetensors") as temporary:
        temporary.write_bytes(weights)
    of_all = _digest(settings, hashlib.sha256(weights).hexdigest())
    files.write_json(folder / "config.json", {**settings, DIGEST: of_all})


def _digest(settings: dict[str, Any], weights: str) -> str:
    """Return a digest of settings, as JSON has them, and of the digest of the weights."""
    return hashlib.sha256(json.dumps([settings, weights], sort_keys=True).encode()).hexdigest()


def read(folder: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Read config.json and model.safetensors; nothing is unpickled.

    Raises
    ------
    EarshotError
        If one of them is missing, damaged, or not as it was written, or there is no memory for them.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        settings, weights = json.loads((folder / "config.json").read_text()), load_file(folder / "model.safetensors")
        if isinstance(settings, dict) and settings.pop(DIGEST, None) not in (None, _digest(settings, digest(folder))):
            raise EarshotError(f"{folder} has changed since it was written. {files.MEND}")
    except (OSError, ValueError, RecursionError, SafetensorError) as error:
        raise EarshotError(f"{folder} holds no trained model ({error}). Run `dvc repro`") from None
    except (MemoryError, RuntimeError) as error:  # torch's own, where it can't map the file
        raise EarshotError(f"{folder} can't be read: {' '.join(str(error).split())}") from None
    settings, weights = former.updated(settings, weights)
    try:
        described.check(settings)
    except EarshotError as error:
        said = " ".join(str(error).split())  # values of a stranger's are in it
        raise EarshotError(f"{folder / 'config.json'} does not describe a model: {said}") from None
    return _with_its_backbone(settings, folder), weights


def _with_its_backbone(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return settings that name the backbone that came with the model, where one did (`deploy.package`)."""
    source = settings["input"]
    name = source.get("backbone")
    card = folder / BACKBONES / f"{name}.yaml"
    return settings | {"input": source | {"backbone": str(card)}} if name and card.is_file() else settings


def state(folder: Path) -> tuple[tuple[int, int, int], ...]:
    """Return what tells a model from another one that takes its place: inode, size and time of its files."""
    found = [os.stat(path) for name in FILES if (path := folder / name).exists()]
    return tuple((one.st_ino, one.st_size, one.st_mtime_ns) for one in found)


def digest(folder: Path) -> str:
    """Return the sha256 of a trained model's weights."""
    return files.digest(folder / "model.safetensors")
