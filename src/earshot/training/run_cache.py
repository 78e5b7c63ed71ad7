"""The cache of trained runs, by everything that their result depends on: no run is trained twice.

A killed stage or sweep continues where it stopped, and one more seed costs one more seed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from earshot import files, models, project, provenance
from earshot.batches.prepare import Data
from earshot.trained import model_folder
from earshot.training import for_detection, pretrained, strong_labels
from earshot.training.fit import Trained

SPLIT = ["part", "recording", "label", "start", "stop"]  # the columns that training depends on, not the group
WHOLE = "whole.json"  # the digest of each file of a run
SETTINGS = (
    "dataset",
    "task",
    "input",
    "protocol",
    "seed",
    "fold",
    "model",
    "optimizer",
    "trainer",
    "windows",
    "augmentation",
)


def facts(cfg: DictConfig, data: Data) -> dict[str, str]:
    """Return a digest of 16 characters of each fact that a run's weights depend on.

    Returns
    -------
    Digests of settings, features, split, code and libraries
    """
    everything = OmegaConf.to_container(cfg, resolve=True)
    settings = {str(name): everything.get(name) for name in SETTINGS}
    settings |= pretrained.facts(cfg, data.card.task) | for_detection.asked(cfg, data)
    settings |= strong_labels.facts(cfg, data.card.task)
    known = {
        "settings": settings,
        "features": [data.recipe, data.digest, data.classes],
        "split": _split(data.card.name, cfg.protocol, cfg.fold),
        **provenance.code(*modules(cfg, data)),
    }
    return {name: provenance.digest(fact)[:16] for name, fact in known.items()}


def modules(cfg: DictConfig, data: Data) -> list[str]:
    """Return the modules whose code a run depends on: of training, and those of its model's and its input's class."""
    of_model = models.class_of(cfg.model).__module__  # first: a model that is none is told before data is looked at
    of_detection = ["earshot.training.for_detection"] if for_detection.asked(cfg, data) else []
    of_frames = ["earshot.training.strong_labels"] if strong_labels.learns(cfg) else []
    return ["earshot.training.fit", of_model, type(data.input).__module__, *of_detection, *of_frames]


def splits(dataset: str, protocol: str) -> dict[int, str]:
    """Return for each fold the digest that `facts` gives of its split."""
    split = files.read_table(project.split(dataset, protocol))
    return {
        int(fold): provenance.digest(_split(dataset, protocol, fold))[:16] for fold in sorted(split["fold"].unique())
    }


def _split(dataset: str, protocol: str, fold: int) -> str:
    split = files.read_table(project.split(dataset, protocol))
    return split.loc[(split["fold"] == fold) & (split["part"] != "test"), SPLIT].to_csv(index=False)


def folder(cfg: DictConfig, data: Data) -> Path:
    """Return the folder of the run of a config on a dataset's features, data/cache/runs/KEY."""
    return project.cache("runs", provenance.digest(facts(cfg, data))[:32])


def is_whole(folder: Path) -> bool:
    """Tell whether a folder holds a run that was trained to its end; one that has changed since is told of, once."""
    if not (folder / WHOLE).exists():
        return False
    changed = has_changed(folder)
    if changed:
        tqdm.write(f"{folder} has changed since it was written: the run is trained anew", file=sys.stderr)
        (folder / WHOLE).unlink(missing_ok=True)
    return not changed


def has_changed(folder: Path) -> bool:
    """Tell whether a run that was trained to its end is not as it was written then."""
    try:
        return bool(json.loads((folder / WHOLE).read_text("utf-8")) != _digests(folder))
    except (OSError, ValueError):
        return True


def complete(folder: Path, trained: Trained) -> None:
    """Complete the folder that `fit.save` has written with the validation predictions and the epochs."""
    files.write_table(folder / "validation.parquet", trained.validation, {})
    files.write_json(folder / "epochs.json", trained.epochs)
    files.write_json(folder / WHOLE, _digests(folder))  # last: the run is whole with it


def _digests(folder: Path) -> dict[str, str | None]:
    paths = [folder / name for name in (*model_folder.FILES, "epochs.json", "validation.parquet")]
    return {path.name: files.digest(path) if path.is_file() else None for path in paths}


def read(folder: Path) -> Trained:
    """Read a whole run."""
    settings, weights = model_folder.read(folder)
    epochs = json.loads((folder / "epochs.json").read_text("utf-8"))
    return Trained(settings, weights, epochs, files.read_table(folder / "validation.parquet"))
