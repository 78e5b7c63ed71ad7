"""One run: a model fitted as a config says, its files written, and what came of it logged."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from earshot import provenance
from earshot.batches import prepare
from earshot.batches.prepare import Data
from earshot.batches.windows import Windows
from earshot.settings import WIRINGS, run_name, window_of
from earshot.tracking import links, logger, store
from earshot.tracking.logger import Epoch
from earshot.trained import model_folder
from earshot.training import fit, run_cache
from earshot.training.fit import Trained

LOGGED = ("task", "input", "protocol", "fold", "seed", "model", "optimizer", "trainer", "audio")


def once(cfg: DictConfig, data: Data) -> Path:
    """Train as the config says, unless that was done before; return the folder that keeps the run.

    A run that MLflow doesn't have, or not for this sweep, is logged in either case.
    """
    folder = run_cache.folder(cfg, data)
    if not run_cache.is_whole(folder):
        run_cache.complete(folder, train(cfg, data, folder, alone=False))
    elif not _is_logged(cfg, data, folder):
        _log(cfg, data, folder, lambda _parts, _watch: run_cache.read(folder))
    return folder


def train(cfg: DictConfig, data: Data, out: Path, alone: bool = True) -> Trained:
    """Train as the config says, log to MLflow, and write the weights and their settings to `out`.

    A run that is `alone` tells of each epoch: by a progress bar in a terminal, by lines in a log.
    """

    def fitted(parts: dict[str, Windows], watch: Callable[[Epoch], None]) -> Trained:
        watchers = [watch, *(_lines(cfg) if alone else [])]
        trained = fit.fit(cfg, data, parts["train"], parts["validation"], watchers, alone and sys.stderr.isatty())
        fit.save(trained, out)
        return trained

    return _log(cfg, data, out, fitted)


def _log(cfg: DictConfig, data: Data, out: Path, fitted: Callable[..., Trained]) -> Trained:
    """Log what `fitted` makes of the parts, and the epochs that it tells of or has been through."""
    parts = {part: prepare.part(cfg, data, part) for part in ("train", "validation")}
    with _opened(cfg, data) as run:
        run.params({"dataset": data.card.name, **logger.flatten(_logged(cfg, data.card.task))})
        run.tag(store.FOLDER_TAG, str(out))
        run.text(OmegaConf.to_yaml(cfg, resolve=True), "config.yaml")
        for part, cut in parts.items():
            run.dataset(data.card.name, data.digest, str(data.path), f"{part}, {len(cut)} windows")
        told: list[int] = []

        def watch(epoch: Epoch) -> None:
            told.append(step := int(epoch["epoch"]))
            run.metrics({key: value for key, value in epoch.items() if key != "epoch"}, step)

        trained = fitted(parts, watch)
        for epoch in trained.epochs[len(told) :]:  # of a run that was kept
            watch(epoch)
        _log_result(run, cfg, data, trained)
    return trained


def _opened(cfg: DictConfig, data: Data) -> AbstractContextManager[logger.Run]:
    tried = [] if cfg.mlflow.tried is None else [cfg.mlflow.tried]
    title = " ".join([*tried, f"{cfg.input}-{cfg.model.name}", run_name(cfg), data.card.label])
    return logger.run(data.card.task, title, _tags(cfg, data), cfg.mlflow.system_metrics)


def _tags(cfg: DictConfig, data: Data) -> dict[str, str]:
    tags = {
        "earshot.dataset": data.card.label,
        "earshot.experiment": f"{data.card.task}-{cfg.input}-{cfg.model.name}",
        "earshot.protocol": cfg.protocol,
        "mlflow.note.content": links.note(
            data.card.name, cfg.input, cfg.model.name, cfg.model.get("wiring", WIRINGS[0])
        ),
        "mlflow.source.name": "earshot train",
        "mlflow.source.git.commit": provenance.commit(),
        "dvc.stage": os.environ.get("DVC_STAGE"),
        store.EXPERIMENT_TAG: os.environ.get("DVC_EXP_NAME"),
        "earshot.machine": provenance.machine(),
        store.SWEEP_TAG: cfg.mlflow.sweep,
        "earshot.trial": cfg.mlflow.trial,
    }
    tags |= {f"{store.DIGEST_TAG}{fact}": digest for fact, digest in run_cache.facts(cfg, data).items()}
    return {key: str(value) for key, value in tags.items() if value is not None}


def _is_logged(cfg: DictConfig, data: Data, folder: Path) -> bool:
    """Tell whether MLflow has the whole run; True where it can't be asked, since nothing is lost."""
    return logger.has(data.card.task, store.which(model_folder.digest(folder), cfg.mlflow.sweep))


def _logged(cfg: DictConfig, task: str) -> dict[str, Any]:
    """Return the settings of this run, without those of other inputs, tasks and runs."""
    everything = OmegaConf.to_container(cfg, resolve=True)
    features = everything["features"][cfg.input]
    window = window_of(everything["windows"], task)
    return {key: everything[key] for key in LOGGED} | {"features": features or {}, "window": window}


def _log_result(run: logger.Run, cfg: DictConfig, data: Data, trained: Trained) -> None:
    """Log what the kept weights are worth on the validation windows."""
    from earshot.metrics import classification  # scikit-learn is not needed before
    from earshot.tracking import figures

    frame = trained.validation
    scores = {f"best_val_{key}": value for key, value in classification.scores(frame).items() if key != "windows"}
    best = trained.settings["best_epoch"]
    run.metrics({"best_epoch": best, **scores}, best)
    run.tag(store.WEIGHTS_TAG, fit.digest(trained))
    if cfg.mlflow.artifacts:
        run.figure(figures.curves(trained.epochs), "curves.png")
        run.predictions(data.card.name, frame, "validation")


def _lines(cfg: DictConfig) -> list[Callable[[Epoch], None]]:
    """Return what prints plain lines where there is no terminal for a progress bar: some ten for a run."""
    every = max(1, cfg.model.training.max_epochs // 10)

    def line(epoch: Epoch) -> None:
        if epoch["epoch"] % every == 0:
            scores = "  ".join(f"{key} {value:.4f}" for key, value in epoch.items() if key != "epoch")
            print(f"  epoch {epoch['epoch']}/{cfg.model.training.max_epochs}  {scores}", flush=True)

    return [] if sys.stderr.isatty() else [line]
