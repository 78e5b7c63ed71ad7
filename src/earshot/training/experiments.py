"""The runs of experiments on one dataset: every protocol, wiring, seed and fold, some side by side.

Each run is identical to that of `earshot train` with the same settings.
"""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from earshot import files, project
from earshot.cluster import pools
from earshot.cluster.each import each
from earshot.processes import leave_in_order
from earshot.settings import Experiment, compose, override, run_name
from earshot.training import options


def configs_of(dataset: str, task: str, experiment: Experiment) -> Iterator[DictConfig]:
    """Yield the config of each run of an experiment on a dataset that params.yaml lists.

    Raises
    ------
    EarshotError
        If the model's `training` is wrong.
    """
    # what is seen and heard of a run is its test windows, which the stage `evaluate` adds
    shown = ["mlflow.artifacts=false"]
    cfg = compose([override("dataset", dataset), override("task", task), *shown, *experiment.overrides])
    options.of(cfg)
    # a model whose code and text agree has no wiring to choose
    wirings = cfg.wirings if "wiring" in cfg.model else [None]
    for protocol, wiring, seed in itertools.product(cfg.protocols, wirings, cfg.seeds):
        split = files.read_table(project.split(dataset, protocol))
        for fold in sorted(split["fold"].unique().tolist()):
            changes = {"protocol": protocol, "seed": seed, "fold": fold}
            changes |= {"model": {"wiring": wiring}} if wiring else {}
            yield OmegaConf.merge(cfg, changes)


def train_one(cfg: DictConfig, out: Path) -> tuple[dict[str, Any], list[dict[str, float]]]:
    """Train one run, or take it from the cache, and copy the model to `out`; return its settings and epochs."""
    from earshot.batches import prepare  # in the workers alone: it takes seconds
    from earshot.trained import model_folder
    from earshot.training import run_cache, runs

    signal.signal(signal.SIGTERM, leave_in_order)
    folder = runs.once(cfg, prepare.shared(cfg))
    for name in model_folder.FILES:
        files.copy(folder / name, out / name)
    trained = run_cache.read(folder)
    return trained.settings, trained.epochs


def _cores(cfg: DictConfig) -> int:
    """Return how many cores a run takes, if it is not trained on GPUs."""
    devices = cfg.trainer.devices
    processes = devices if isinstance(devices, int) else 1 if isinstance(devices, str) else len(devices)
    return cfg.trainer.threads * max(1, processes)


def train_all(configs: list[DictConfig], folder: Path, workers: int, label: str) -> dict[str, list[dict[str, Any]]]:
    """Train all runs, some side by side, and return the epochs of each experiment in the order of `configs`.

    Parameters
    ----------
    configs : one for each run
    folder : of the dataset's models; each run gets a folder in it, INPUT-MODEL/RUN
    workers : number of cores; the results do not depend on it
    label : of the progress bar
    """
    experiments = [Experiment.of(cfg).name for cfg in configs]
    names = [f"{experiment}/{run_name(cfg)}" for experiment, cfg in zip(experiments, configs, strict=True)]
    todo = [(cfg, folder / name) for cfg, name in zip(configs, names, strict=True)]
    epochs: dict[str, list[dict[str, Any]]] = {experiment: [] for experiment in experiments}
    at_once = max(1, workers // max(map(_cores, configs), default=1))
    with pools.for_runs(at_once, "earshot.training.runs", "earshot.tracking.imported") as pool:
        done = each(pool, train_one, todo, label, "run")
        for experiment, name, (settings, scores) in zip(experiments, names, done, strict=True):
            chosen = scores[settings["best_epoch"] - 1]
            tqdm.write(
                f"  {name}: epoch {settings['best_epoch']} of {settings['epochs']}, validation "
                f"loss {chosen['val_loss']:.4f}, accuracy {chosen['val_accuracy']:.4f}"
            )
            run = {key: settings[key] for key in ("protocol", "wiring", "seed", "fold")}
            epochs[experiment] += [run | epoch for epoch in scores]
    return epochs
