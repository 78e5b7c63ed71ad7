"""One run: trained as a config says or read from the cache, and logged to MLflow."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf

from earshot import project, provenance
from earshot.batches import prepare
from earshot.batches.prepare import Data
from earshot.batches.windows import Windows
from earshot.models import layers
from earshot.settings import WIRINGS, Experiment, run_name, window_of
from earshot.tracking import links, logger, store
from earshot.trained import model_folder
from earshot.training import augmenting, fit, for_detection, options, run_cache, strong_labels
from earshot.training.callbacks import LogEpochs, PrintEpochs, PrintLayers
from earshot.training.fit import Trained

LOGGED = ("task", "input", "protocol", "fold", "seed", "model", "optimizer", "trainer", "audio")


def once(cfg: DictConfig, data: Data) -> Path:
    """Train as the config says unless the cache has the run; return the run's folder in the cache.

    A cached run is logged again where MLflow doesn't have it, or not for this sweep. Of two processes that train it at
    once the first to end logs it.
    """
    folder = run_cache.folder(cfg, data)
    cached = run_cache.is_whole(folder)
    if not cached or not _is_logged(cfg, data, folder):
        trained = train(cfg, data, folder, verbose=False, once=True)
        if not cached:
            run_cache.complete(folder, trained)
    return folder


def train(cfg: DictConfig, data: Data, out: Path, verbose: bool = True, once: bool = False) -> Trained:
    """Train as the config says, or read the whole run in `out`; log it to MLflow.

    A training that was killed goes on after its last epoch that was kept, see `unfinished`.

    Parameters
    ----------
    out : the folder for the weights and their settings
    verbose : print the model's layers and the epochs, those as a progress bar in a terminal and as lines elsewhere
    once : do not log it where MLflow has it by its end
    """
    options.of(cfg), augmenting.asked(cfg)  # a mistake in them makes no run
    state = project.cache("unfinished", f"{run_cache.folder(cfg, data).name}.safetensors")
    parts = {part: prepare.part(cfg, data, part) for part in ("train", "validation")}
    with logger.run(data.card.task, _title(cfg, data), _tags(cfg, data), cfg.mlflow.system_metrics, once) as run:
        _log_settings(run, cfg, data, out, parts)
        if run_cache.is_whole(out):
            trained = run_cache.read(out)
            for epoch in trained.epochs:
                run.epoch(epoch)
        else:
            callbacks = [LogEpochs(run), *(_printers() if verbose else [])]
            progress_bar = verbose and sys.stderr.isatty()
            teach = strong_labels.teacher(cfg, data)
            windows = (parts["train"], parts["validation"])
            trained = fit.fit(cfg, data, *windows, callbacks, progress_bar, state, teach)
            trained = for_detection.added(cfg, data, trained)
            fit.save(trained, out)
        _log_result(run, cfg, data, trained)
    state.unlink(missing_ok=True)
    return trained


def _printers() -> list[pl.Callback]:
    return [PrintLayers()] if sys.stderr.isatty() else [PrintLayers(), PrintEpochs()]


def _title(cfg: DictConfig, data: Data) -> str:
    tried = [] if cfg.mlflow.tried is None else [cfg.mlflow.tried]
    return " ".join([*tried, Experiment.of(cfg).name, run_name(cfg), data.card.label])


def _tags(cfg: DictConfig, data: Data) -> dict[str, str]:
    tags = {
        "earshot.dataset": data.card.label,
        "earshot.experiment": f"{data.card.task}-{Experiment.of(cfg).name}",
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
    """Tell whether MLflow has the whole run; True where MLflow can't be reached, since the cache has it."""
    return logger.has(data.card.task, store.run_tags(model_folder.digest(folder), cfg.mlflow.sweep))


def _log_settings(run: logger.Run, cfg: DictConfig, data: Data, out: Path, parts: dict[str, Windows]) -> None:
    """Log the settings of this run and its datasets."""
    run.params({"dataset": data.card.name, **logger.flatten(_params(cfg, data))})
    run.tag(store.FOLDER_TAG, str(out))
    run.text(OmegaConf.to_yaml(cfg, resolve=True), "config.yaml")
    for part, windows in parts.items():
        run.dataset(data.card.name, data.digest, str(data.path), f"{part}, {len(windows)} windows")


def _params(cfg: DictConfig, data: Data) -> dict[str, Any]:
    """Return the settings of this run, without those of other inputs, tasks and runs."""
    everything = OmegaConf.to_container(cfg, resolve=True)
    features = everything["features"][cfg.input] if data.card.has_sound else {"table": data.card.layout.file}
    window = window_of(everything["windows"], data.card.task)
    more = {"augmentation": augmenting.recorded(cfg), **for_detection.asked(cfg, data)}
    return {key: everything[key] for key in LOGGED} | more | {"features": features or {}, "window": window}


def _log_result(run: logger.Run, cfg: DictConfig, data: Data, trained: Trained) -> None:
    """Log the trained model and its scores on the validation windows."""
    from earshot.metrics import classification  # scikit-learn is not needed before
    from earshot.tracking import figures

    frame = trained.validation
    scores = {f"best_val_{key}": value for key, value in classification.scores(frame).items() if key != "windows"}
    best = trained.settings["best_epoch"]
    run.metrics({"best_epoch": best, **scores}, best)
    run.tag(store.WEIGHTS_TAG, fit.digest(trained))
    if point := trained.settings.get("operating_point"):  # not as parameters, which are alike in all folds
        run.tag(store.POINT_TAG, json.dumps(point))
        run.metrics({f"point_val_{name}": point[name] for name in ("recall", "false_alarms_per_hour")}, best)
    if fitted := trained.settings.get("calibration"):
        run.metrics({"temperature": fitted.get("temperature"), **_calibrated(trained)}, best)
    run.text(layers.as_text(trained.settings["layers"]), "model_summary.txt")
    if cfg.mlflow.artifacts:
        run.figure(figures.curves(trained.epochs), "curves.png")
        run.predictions(data.card.name, frame, "validation")


def _calibrated(trained: Trained) -> dict[str, float | None]:
    """Return the validation part's calibration error after calibration."""
    from earshot.metrics import calibration, classification

    frame = calibration.of_table(trained.settings["calibration"], trained.validation)
    return {"calibrated_val_calibration_error": classification.calibration_error(frame)}
