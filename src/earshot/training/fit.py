"""Fit one model to the training windows of one fold: settings and windows in, weights and scores out."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from safetensors.torch import save as to_bytes
from torch import nn

from earshot import models
from earshot.batches.datamodule import WindowDataModule
from earshot.batches.windows import Windows, statistics
from earshot.errors import EarshotError
from earshot.models.layers import layers_of
from earshot.processes import keep_memory
from earshot.settings import PADS, WIRINGS, pad_of, window_of
from earshot.trained import model_folder, predict
from earshot.training import augmenting, options, pretrained, several
from earshot.training.callbacks import History, StopEarly, copied
from earshot.training.classifier import Classifier, takes_steps
from earshot.training.loss import Loss, balanced
from earshot.training.options import Training
from earshot.training.unfinished import Unfinished

if TYPE_CHECKING:
    from earshot.batches.prepare import Data
    from earshot.tracking.logger import Epoch


@dataclass(frozen=True)
class Trained:
    """A trained model, and how training went.

    settings, weights : all that is needed to predict; the weights are those of the best or last epoch
    epochs : the scores of each epoch
    validation : the predictions of the validation windows with these weights, see `predict.table`
    """

    settings: dict[str, Any]
    weights: dict[str, torch.Tensor]
    epochs: list[Epoch]
    validation: pd.DataFrame


def fit(
    cfg: DictConfig,
    data: Data,
    training: Windows,
    validation: Windows,
    callbacks: Sequence[pl.Callback] = (),
    progress_bar: bool = False,
    state: Path | None = None,
    teach: Callable[[nn.Module], None] | None = None,
) -> Trained:
    """Fit a model to the training windows; the validation loss decides which epoch's weights are used.

    Parameters
    ----------
    callbacks : Lightning's, called after the scores and weights of an epoch were recorded
    progress_bar : show Lightning's progress bar
    state : a file with what is needed to go on after the last epoch, written while it is trained; None: there is none
    teach : has a model learn that does so from events at known times, see `strong_labels.teacher`

    Raises
    ------
    EarshotError
        If the model or the optimizer can't be made of their settings, or one of several processes fails.
    """
    settings, weights, epochs = learn(cfg, data, (training, validation), callbacks, progress_bar, state, teach=teach)
    if training.multi_label:
        settings["thresholds"] = _thresholds(settings, weights, validation)
    found = _probabilities(settings, weights, validation)
    return Trained(settings, weights, epochs, predict.table(settings, validation, found))


def learn(
    cfg: DictConfig,
    data: Data,
    windows: tuple[Windows, Windows],
    callbacks: Sequence[pl.Callback] = (),
    progress_bar: bool = False,
    state: Path | None = None,
    group: several.Group | None = None,
    teach: Callable[[nn.Module], None] | None = None,
) -> tuple[dict[str, Any], dict[str, torch.Tensor], list[Epoch]]:
    """Do `fit` without its predictions; return settings, weights and the scores of each epoch.

    Parameters
    ----------
    group : the processes that this one belongs to; None: it is the first, and starts the others
    teach : see `fit`
    """
    _make_deterministic(cfg)
    training, validation = windows
    shape = (training.length, data.features.rows.shape[1])
    chosen = pretrained.completed(cfg, data)
    net = models.build(chosen, data.input.standardised, *shape, len(data.classes))
    n = several.count(cfg) if takes_steps(net) else 1  # else all windows are needed at once
    with nullcontext(group) if group else several.started(n, cfg, windows, state) as group:
        if data.input.standardised:
            net.standardiser.set(*statistics(training))
        history, layers, weights = _descend(
            net, chosen, cfg, data, windows, callbacks, progress_bar, state, group, teach
        )
    settings = _settings(cfg, data, history) | {
        "model": chosen,
        "window_shape": shape,
        "seconds": float(training.table["seconds"].iloc[0]),
        "hop": float(window_of(cfg.windows, data.card.task)["hop"]),
        "parameters": models.n_parameters(net),
        "layers": layers,
        "windows": {"train": len(training), "validation": len(validation)},
        **_padding(cfg, data),
        **({"frames": net.model.grid} if teach else {}),
    }
    return settings, weights, history.epochs


def _descend(
    net: nn.Module,
    chosen: dict[str, Any],
    cfg: DictConfig,
    data: Data,
    windows: tuple[Windows, Windows],
    callbacks: Sequence[pl.Callback],
    progress_bar: bool,
    state: Path | None,
    group: several.Group,
    teach: Callable[[nn.Module], None] | None,
) -> tuple[History, list[dict[str, Any]], dict[str, torch.Tensor]]:
    """Train a model; return what was recorded, the rows of its summary, and the weights to keep."""
    how, (training, validation) = options.of(cfg), windows
    mean = net.standardiser.mean if data.input.standardised else None
    steps = takes_steps(net)
    if not steps:
        options.check_without_steps(how, augmenting.without_steps(cfg, net), cfg.model.name)
    augmenter = augmenting.augmenter(cfg, data, training, mean, group.share.rank)
    pretrained.begin(net, chosen, training, augmenter)
    if teach:
        teach(net.model)
    layers, net = layers_of(net, (training.length, data.features.rows.shape[1])), models.faster(net)
    history = History(how.checkpoint)
    stopping = [StopEarly(how.early_stopping)] if how.early_stopping else []
    size = how.batch_size or len(training)
    share = group.share if group.several else None
    balanced_draws = how.sampling == "balanced"
    batches = WindowDataModule(training, validation, size, cfg.seed, balanced_draws, how.shuffle_shards, share)
    resuming = [Unfinished(state, history, batches)] if state else []
    loss = _loss(how, training, len(data.classes), augmenter is not None and augmenter.mixes)
    classifier = Classifier(net, _optimizer(cfg), layers, how, loss, augmenter if steps else None)
    before = {name: copied(value) for name, value in net.state_dict().items()} if how.interpolation < 1 else {}
    with group.joined():
        trainer = pl.Trainer(
            max_epochs=how.max_epochs,
            gradient_clip_val=how.gradient_clipping,
            accelerator=cfg.trainer.accelerator,
            devices=OmegaConf.to_container(OmegaConf.create({"devices": cfg.trainer.devices}))["devices"],
            precision=cfg.trainer.precision,
            deterministic="warn",
            callbacks=[*group.callbacks(), history, *resuming, *stopping, *callbacks],
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=progress_bar,
            num_sanity_val_steps=0,
            **group.of_trainer(),
        )
        try:
            # the LSTM's gradients fade into denormal numbers, with which a CPU is ten times slower (this thread's)
            torch.set_flush_denormal(True)
            classifier.train()  # Lightning leaves modes as they are; a model may have layers that stay as in prediction
            trainer.fit(classifier, batches)
        finally:
            torch.set_flush_denormal(False)
    kept = pretrained.interpolated(before, history.weights, how.interpolation) if before else history.weights
    return history, layers, kept


def _padding(cfg: DictConfig, data: Data) -> dict[str, Any]:
    """Return how short recordings were padded, and to how many seconds; nothing where they were not."""
    how, seconds = pad_of(cfg.windows, data.card.task), float(window_of(cfg.windows, data.card.task)["length"])
    return {} if how == PADS[0] else {"pad": {"how": how, "seconds": seconds}}


def _optimizer(cfg: DictConfig) -> Callable[..., torch.optim.Optimizer]:
    """Return the optimizer, which only lacks the parameters.

    Raises
    ------
    EarshotError
        If it does not take its settings.
    """
    try:
        optimizer = hydra.utils.instantiate(cfg.optimizer, _partial_=True)
        optimizer(params=[torch.nn.Parameter(torch.zeros(1))])
    except (TypeError, ValueError, HydraException) as error:
        raise EarshotError(f"optimizer: {' '.join(str(error).split())}") from None
    return optimizer


def _loss(how: Training, training: Windows, n_classes: int, mixes: bool) -> Loss | None:
    """Return the loss of a training step where it is another than a model's plain one."""
    weights = balanced(training.labels, n_classes) if how.class_weights == "balanced" else None
    plain = weights is None and how.label_smoothing == 0 and not mixes
    return None if plain else Loss(n_classes, training.multi_label, how.label_smoothing, weights)


def _probabilities(settings: dict[str, Any], weights: dict[str, torch.Tensor], windows: Windows) -> np.ndarray:
    return predict.probabilities(settings, model_folder.restore(settings, weights), windows)


def _thresholds(settings: dict[str, Any], weights: dict[str, torch.Tensor], validation: Windows) -> list[float]:
    """Return for each class of a multi-label dataset the threshold with the highest F1 on the validation windows."""
    from earshot.metrics.thresholds import best_threshold  # scikit-learn is not needed before

    found = _probabilities(settings | {"thresholds": []}, weights, validation)
    true = validation.labels.numpy() > 0
    return [
        best_threshold(true[:, n], found[:, n]) if true[:, n].any() and np.isfinite(found[:, n]).all() else 0.5
        for n in range(len(settings["classes"]))
    ]


def _settings(cfg: DictConfig, data: Data, history: History) -> dict[str, Any]:
    """Return how a model was made: with its weights, all that is needed to use it."""
    return {
        "dataset": data.card.name,
        "task": data.card.task,
        "classes": data.classes,
        "digest": data.digest,
        "input": data.recipe,
        "wiring": cfg.model.get("wiring", WIRINGS[0]),
        "protocol": cfg.protocol,
        "seed": cfg.seed,
        "fold": cfg.fold,
        "epochs": len(history.epochs),
        "best_epoch": history.weights_epoch,
        "augmentation": augmenting.recorded(cfg),
        "optimizer": OmegaConf.to_container(cfg.optimizer, resolve=True),
    }


def _make_deterministic(cfg: DictConfig) -> None:
    """Fix what a result depends on, seed and threads; silence Lightning's messages."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    warnings.filterwarnings("ignore", module="lightning_fabric")  # where Slurm is, to start everything by srun
    pl.seed_everything(cfg.seed, verbose=False)
    keep_memory()
    torch.set_num_threads(cfg.trainer.threads)


def save(trained: Trained, out: Path) -> None:
    """Write model.safetensors and config.json to `out`."""
    model_folder.write(out, trained.settings, to_bytes(trained.weights))


def digest(trained: Trained) -> str:
    """Return the sha256 of the weights as `save` writes them."""
    return hashlib.sha256(to_bytes(trained.weights)).hexdigest()
