"""Trained runs, kept by all that their result depends on, so that no run is trained twice.

A killed stage or sweep goes on where it was, and one more seed costs one more seed.
"""

from __future__ import annotations

import json
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from earshot import files, project, provenance
from earshot.batches.prepare import Data
from earshot.trained import model_folder
from earshot.training.fit import Trained

SEEN = ["part", "recording", "label", "start", "stop"]  # of a split; a group's name trains nothing
SETTINGS = ("dataset", "task", "input", "protocol", "seed", "fold", "model", "optimizer", "trainer", "windows")


def facts(cfg: DictConfig, data: Data) -> dict[str, str]:
    """Return what decides a run's weights, each as a digest of 16 characters.

    Returns
    -------
    settings, features, split, code and libraries
    """
    everything = OmegaConf.to_container(cfg, resolve=True)
    found = {
        "settings": {name: everything[name] for name in SETTINGS},
        "features": [data.recipe, data.digest, data.classes],
        "split": _seen(data.card.name, cfg.protocol, cfg.fold),
        **provenance.code("earshot.training.fit"),
    }
    return {name: provenance.digest(fact)[:16] for name, fact in found.items()}


def splits(dataset: str, protocol: str) -> dict[int, str]:
    """Return for each fold the digest that `facts` gives of its split."""
    split = files.read_table(project.split(dataset, protocol))
    return {
        int(fold): provenance.digest(_seen(dataset, protocol, fold))[:16] for fold in sorted(split["fold"].unique())
    }


def _seen(dataset: str, protocol: str, fold: int) -> str:
    split = files.read_table(project.split(dataset, protocol))
    return split.loc[(split["fold"] == fold) & (split["part"] != "test"), SEEN].to_csv(index=False)


def folder(cfg: DictConfig, data: Data) -> Path:
    """Return where the run of a config on a dataset's features is kept, or will be: data/cache/runs/KEY."""
    return project.cache("runs", provenance.digest(facts(cfg, data))[:32])


def is_whole(folder: Path) -> bool:
    """Tell whether a run was trained to its end and kept."""
    return (folder / "epochs.json").exists()


def complete(folder: Path, trained: Trained) -> None:
    """Add what `fit.save` does not write to the folder of a run."""
    files.write_table(folder / "validation.parquet", trained.validation, {})
    files.write_json(folder / "epochs.json", trained.epochs)  # the last file: with it the run is whole


def read(folder: Path) -> Trained:
    """Return a run that was kept."""
    settings, weights = model_folder.read(folder)
    epochs = json.loads((folder / "epochs.json").read_text("utf-8"))
    return Trained(settings, weights, epochs, files.read_table(folder / "validation.parquet"))
