"""What a training run's result depends on; runs are kept by it, so that no run is trained twice.

A killed stage goes on where it was, and one more seed costs one more seed.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from earshot import config, store
from earshot.train import Data

HERE = Path(__file__).parent
CODE = [
    "datamodule.py",
    "dataset.py",
    "module.py",
    "process.py",
    "spans.py",
    "train.py",
    "windows.py",
    "inputs",
    "models",
]
LIBRARIES = ("hydra-core", "numpy", "pandas", "pytorch-lightning", "torch")
SEEN = ["part", "recording", "label", "start", "stop"]  # of a split; a group's name trains nothing
SETTINGS = ("dataset", "task", "input", "protocol", "seed", "fold", "model", "optimizer", "trainer", "windows")


def folder(cfg: DictConfig, data: Data) -> Path:
    """Return where the run of a config on a dataset's features is kept, or will be: data/cache/runs/KEY."""
    return config.data("cache", "runs", key(cfg, data))


def key(cfg: DictConfig, data: Data) -> str:
    """Return a hash of all that decides a run's weights: settings, data, split, code and libraries."""
    everything = OmegaConf.to_container(cfg, resolve=True)
    split = store.read_table(config.data("splits", data.card.name, f"{cfg.protocol}.parquet"))
    seen = split.loc[(split["fold"] == cfg.fold) & (split["part"] != "test"), SEEN]
    facts = [
        {name: everything[name] for name in SETTINGS},
        data.recipe,
        data.digest,
        data.classes,
        seen.to_csv(index=False),
        [(path.name, path.read_text("utf-8")) for path in code()],
        [importlib.metadata.version(library) for library in LIBRARIES],
    ]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def code() -> list[Path]:
    """List the files that decide what a training computes."""
    named = [HERE / name for name in CODE]
    return [file for path in named for file in (sorted(path.glob("*.py")) if path.is_dir() else [path])]
