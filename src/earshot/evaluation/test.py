"""Predictions and scores of trained models on their test windows, for one experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from omegaconf import DictConfig, OmegaConf

from earshot import backbones, files, project
from earshot.batches import prepare
from earshot.errors import EarshotError
from earshot.leaks import heard
from earshot.metrics import classification
from earshot.settings import Experiment, compose, override
from earshot.tracking import logger
from earshot.trained import model_folder, predict
from earshot.trained.predict import RUN


def evaluate(folder: Path, cfg: DictConfig, data: prepare.Data) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Predict the test windows of one trained model, and log the scores to its run in MLflow.

    Returns
    -------
    frame : see `predict.table`; with `heard`
    run : the model, and how many windows it was trained and tested on
    """
    settings, weights = model_folder.read(folder)
    if settings["digest"] != data.digest:
        raise EarshotError(f"{folder} was trained on other features than those in {data.path}. Run `dvc repro`")
    test = prepare.part(OmegaConf.merge(cfg, {key: settings[key] for key in ("protocol", "fold")}), data, "test")
    found = predict.probabilities(settings, model_folder.restore(settings, weights), test)
    frame = predict.table(settings, test, found)
    frame.insert(frame.columns.get_loc("label"), "heard", heard_in_training(test.table, data.card.name, settings))
    _log(folder, data, frame)
    run = {key: settings[key] for key in (*RUN, "parameters", "layers", "epochs", "best_epoch")}
    run |= {key: settings[key] for key in ("calibration",) if key in settings}
    return frame, run | {"windows": settings["windows"] | {"test": len(test)}, "bytes": _bytes(folder, data)}


def _bytes(folder: Path, data: prepare.Data) -> int | None:
    """Return the size of the weights, and of the backbone behind the input; None where its card does not say."""
    name = getattr(data.input, "backbone", None)
    backbone = backbones.load_card(name).files[0].bytes if name else 0
    return None if backbone is None else backbone + (folder / "model.safetensors").stat().st_size


def heard_in_training(tested: pd.DataFrame, dataset: str, settings: dict[str, Any]) -> np.ndarray:
    """Flag the test windows that were heard in training, as the audit does: bool, shape (windows,)."""
    split = files.read_table(project.split(dataset, settings["protocol"]))
    trained = split[(split["fold"] == settings["fold"]) & (split["part"] == "train")]
    duplicates = files.read_table(project.duplicates(dataset))
    found = heard.flag(tested, trained, duplicates)
    return (found["overlap"] | found["duplicate"]).to_numpy()


def _log(folder: Path, data: prepare.Data, frame: pd.DataFrame) -> None:
    with logger.continued(data.card.task, model_folder.digest(folder)) as run:
        run.metrics(
            {f"test_{name}": value for name, value in classification.scores(frame).items() if name != "windows"}
        )
        run.predictions(data.card.name, frame, "test")


def mean_scores(frame: pd.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    """Return protocol -> wiring -> score, pooled over folds and averaged over seeds."""
    pooled = pd.DataFrame(
        [dict(zip(RUN[:3], key, strict=True)) | classification.scores(rows) for key, rows in frame.groupby(RUN[:3])]
    )
    means = pooled.drop(columns=["seed", "windows"]).groupby(RUN[:2]).mean().round(6)
    nested: dict[str, dict[str, dict[str, float]]] = {}
    for (protocol, wiring), row in means.iterrows():
        nested.setdefault(protocol, {})[wiring] = row.to_dict()
    return nested


def evaluate_all(dataset: str, experiment: Experiment) -> list[str]:
    """Write the predictions and scores of an experiment's trained models; return the scores in words."""
    torch.set_num_threads(1)
    folders = model_folder.folders(project.models(dataset, experiment.name))
    cfg = compose([override("dataset", dataset), *experiment.overrides])
    data = prepare.load(cfg)
    frames, described = zip(*(evaluate(folder, cfg, data) for folder in folders), strict=True)
    frame = pd.concat(frames, ignore_index=True)
    recipe = {"dataset": dataset, "experiment": experiment.name, "runs": list(described)}
    files.write_table(project.predictions(dataset, experiment.name), frame, recipe)
    scores = mean_scores(frame)
    files.write_json(project.metrics(dataset, experiment.name), scores)
    return [
        f"{data.card.label} {experiment.name} {protocol} ({wiring} wiring): accuracy {values['accuracy']:.3f}"
        for protocol, wirings in scores.items()
        for wiring, values in wirings.items()
    ]
