"""Train one model: `python -m earshot.train experiment=sirens-log_spectrogram-cnn`."""

from __future__ import annotations

import hashlib
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from omegaconf import DictConfig, OmegaConf

from earshot import config
from earshot.errors import EarshotError, without_traceback
from earshot.process import keep_memory

if TYPE_CHECKING:
    import torch

    from earshot.dataset import Features, Windows
    from earshot.datasets.card import Card
    from earshot.inputs import Input
    from earshot.module import Epoch, History
    from earshot.tracking import Run

# torch, Lightning and MLflow take seconds to import: functions below do it, so that `--help` is there at once.


@dataclass(frozen=True)
class Data:
    """A dataset's features in one input, ready to be cut into windows."""

    card: Card
    input: Input
    recipe: dict[str, Any]
    features: Features
    classes: list[str]
    digest: str
    path: Path


@dataclass(frozen=True)
class Trained:
    """What training leaves: `settings` and `weights` are all that `evaluate` needs."""

    settings: dict[str, Any]
    weights: dict[str, torch.Tensor]
    epochs: list[Epoch]

    @property
    def validation_loss(self) -> float:
        """Of the kept epoch, in nats."""
        return self.epochs[self.settings["best_epoch"] - 1]["val_loss"]


def dataset_of(cfg: DictConfig) -> str:
    """Return the dataset that is asked for, or the one in params.yaml's datasets with the config's task.

    Raises
    ------
    EarshotError
        If none or several have it.
    """
    from earshot.datasets.card import load_card

    if cfg.dataset is not None:
        return cfg.dataset
    fitting = [name for name in cfg.datasets if load_card(name).task == cfg.task]
    if len(fitting) != 1:
        raise EarshotError(
            f"params.yaml's datasets ({', '.join(cfg.datasets)}) have {len(fitting)} of task '{cfg.task}': "
            "say which one with dataset=NAME"
        )
    return fitting[0]


def load(cfg: DictConfig) -> Data:
    """Read the features that the config asks for."""
    from earshot import inputs, store
    from earshot.dataset import read_features
    from earshot.datasets.card import ClassFolders, load_card
    from earshot.spans import classes_of

    card = load_card(dataset_of(cfg))
    params = OmegaConf.to_container(cfg, resolve=True)
    built = inputs.build(cfg.input, params, card.task, isinstance(card.layout, ClassFolders))
    recipe = inputs.recipe(cfg.input, built)
    path = config.data("features", card.name, f"{cfg.input}.parquet")
    features = read_features(path, recipe)
    manifest = store.read_table(config.data("manifest", f"{card.name}.parquet"))
    return Data(card, built, recipe, features, classes_of(manifest), store.read_recipe(path)["digest"], path)


def part(cfg: DictConfig, data: Data, name: str) -> Windows:
    """Return the windows of one part of the config's protocol and fold."""
    from earshot import store, windows
    from earshot.dataset import Windows, windows_in

    path = config.data("splits", data.card.name, f"{cfg.protocol}.parquet")
    split = store.read_table(path)
    spans = split[(split["fold"] == cfg.fold) & (split["part"] == name)].drop(columns=["fold", "part"])
    if spans.empty:
        raise EarshotError(f"fold={cfg.fold} is not in {path}, which has folds 0 to {split['fold'].max()}")
    window = windows.window_of(cfg.windows, data.card.task)
    return Windows(
        data.features, windows_in(spans.reset_index(drop=True), data.input, window), data.input, data.classes
    )


def run_name(cfg: DictConfig) -> str:
    """Return a short name that tells one run of an experiment from the others."""
    wiring = cfg.model.get("wiring", "published")
    return f"{cfg.protocol}-{wiring}-seed{cfg.seed}-fold{cfg.fold}"


def train(cfg: DictConfig, data: Data, out: Path, alone: bool = True) -> Trained:
    """Train as the config says, log to MLflow, and write the weights and their settings to `out`.

    A run that is `alone` tells of each epoch: by a progress bar in a terminal, by lines in a log.
    """
    from earshot import tracking

    experiment = f"{data.card.task}-{cfg.input}-{cfg.model.name}"
    tags = {
        "earshot.dataset": data.card.label,
        "earshot.experiment": experiment,
        "earshot.protocol": cfg.protocol,
    }
    windows = {name: part(cfg, data, name) for name in ("train", "validation")}
    with tracking.run(data.card.task, f"{cfg.input}-{cfg.model.name} {run_name(cfg)} {data.card.label}", tags) as run:
        run.params({"dataset": data.card.name, **tracking.flatten(_logged(cfg))})
        run.text(OmegaConf.to_yaml(cfg, resolve=True), "config.yaml")
        for name, part_windows in windows.items():
            run.dataset(data.card.name, data.digest, str(data.path), f"{name}, {len(part_windows)} windows")
        watchers = [_to_mlflow(run), *(_lines(cfg) if alone else [])]
        trained = fit(cfg, data, windows["train"], windows["validation"], watchers, alone and sys.stderr.isatty())
        run.tag(tracking.WEIGHTS_TAG, save(trained, out))
        _log_figures(run, trained, windows["validation"])
    return trained


def fit(
    cfg: DictConfig,
    data: Data,
    training: Windows,
    validation: Windows,
    on_epoch: list[Callable[[Epoch], None]] | None = None,
    progress_bar: bool = False,
) -> Trained:
    """Fit a model to the training windows; the validation windows choose the epoch that is kept."""
    import pytorch_lightning as pl

    from earshot import models
    from earshot.datamodule import WindowDataModule
    from earshot.dataset import statistics
    from earshot.module import Classifier, History

    _settle(cfg)
    shape = (training.length, data.features.rows.shape[1])
    net = models.build(OmegaConf.to_container(cfg.model, resolve=True), *shape, len(data.classes))
    if data.input.standardised:
        net.standardiser.set(*statistics(training))
    history = History(cfg.model.training.checkpoint, on_epoch or [])
    trainer = pl.Trainer(
        max_epochs=cfg.model.training.max_epochs,
        accelerator=cfg.trainer.accelerator,
        devices=cfg.trainer.devices,
        deterministic="warn",
        callbacks=[history],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=progress_bar,
        num_sanity_val_steps=0,
    )
    batches = WindowDataModule(training, validation, cfg.model.training.batch_size, cfg.seed)
    trainer.fit(Classifier(net, hydra.utils.instantiate(cfg.optimizer, _partial_=True)), batches)
    described = _described(cfg, data, history) | {
        "window_shape": shape,
        "parameters": models.n_parameters(net),
        "windows": {"train": len(training), "validation": len(validation)},
    }
    return Trained(described, history.weights, history.epochs)


def _described(cfg: DictConfig, data: Data, history: History) -> dict[str, Any]:
    """Return what a model was made of and how: with its weights, all that is needed to use it."""
    return {
        "dataset": data.card.name,
        "task": data.card.task,
        "classes": data.classes,
        "digest": data.digest,
        "input": data.recipe,
        "model": OmegaConf.to_container(cfg.model, resolve=True),
        "wiring": cfg.model.get("wiring", "published"),
        "protocol": cfg.protocol,
        "seed": cfg.seed,
        "fold": cfg.fold,
        "epochs": len(history.epochs),
        "best_epoch": history.kept_epoch,
    }


def _settle(cfg: DictConfig) -> None:
    """Fix what a result depends on: seed and threads; and keep Lightning from talking."""
    import logging
    import warnings

    import pytorch_lightning as pl
    import torch

    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    pl.seed_everything(cfg.seed, verbose=False)
    keep_memory()
    torch.set_num_threads(cfg.trainer.threads)
    # the LSTM's gradients fade into denormal numbers, with which a CPU is ten times slower (this thread's setting)
    torch.set_flush_denormal(True)


def _to_mlflow(run: Run) -> Callable[[Epoch], None]:
    """Return what logs an epoch's scores to a run."""

    def log(epoch: Epoch) -> None:
        scores = {name: value for name, value in epoch.items() if name != "epoch"}
        run.metrics(scores, step=int(epoch["epoch"]))

    return log


def _lines(cfg: DictConfig) -> list[Callable[[Epoch], None]]:
    """Return what prints plain lines where there is no terminal for a progress bar: some ten for a run."""
    every = max(1, cfg.model.training.max_epochs // 10)

    def line(epoch: Epoch) -> None:
        if epoch["epoch"] % every == 0:
            scores = "  ".join(f"{name} {value:.4f}" for name, value in epoch.items() if name != "epoch")
            print(f"  epoch {epoch['epoch']}/{cfg.model.training.max_epochs}  {scores}", flush=True)

    return [] if sys.stderr.isatty() else [line]


def save(trained: Trained, out: Path) -> str:
    """Write model.safetensors and config.json to `out`; return the weights' sha256."""
    from safetensors.torch import save as to_bytes

    from earshot import store

    weights = to_bytes(trained.weights)
    with store.replacing(out / "model.safetensors") as temporary:
        temporary.write_bytes(weights)
    store.write_json(out / "config.json", trained.settings)
    return hashlib.sha256(weights).hexdigest()


def _logged(cfg: DictConfig) -> dict[str, Any]:
    """Return the settings of this run, without those of other inputs, tasks and runs."""
    everything = OmegaConf.to_container(cfg, resolve=True)
    kept = ("task", "input", "protocol", "fold", "seed", "model", "optimizer", "trainer", "audio")
    return {key: everything[key] for key in kept} | {"features": everything["features"][cfg.input] or {}}


def _log_figures(run: Run, trained: Trained, validation: Windows) -> None:
    from earshot import figures, predict

    probabilities = predict.probabilities(predict.restore(trained.settings, trained.weights), validation)
    run.figure(figures.curves(trained.epochs), "curves.png")
    predicted = probabilities.argmax(axis=1)
    figure = figures.confusion(validation.labels.numpy(), predicted, trained.settings["classes"], "validation")
    run.figure(figure, "confusion_matrix_validation.png")


def leave_in_order(*_: Any) -> None:
    """Turn SIGTERM into an exception, so that the MLflow run is ended."""
    raise SystemExit("error: ended by SIGTERM")


@hydra.main(version_base="1.3", config_path=str(config.root() / "conf"), config_name="config")
@without_traceback
def main(cfg: DictConfig) -> float:
    """Train once; return the validation loss, for sweeps to minimise."""
    signal.signal(signal.SIGTERM, leave_in_order)
    out = Path(hydra.core.hydra_config.HydraConfig.get().runtime.output_dir)
    trained = train(cfg, load(cfg), out)
    print(f"{run_name(cfg)}: validation loss {trained.validation_loss:.4f}, weights in {out}")
    return trained.validation_loss


if __name__ == "__main__":
    main()
