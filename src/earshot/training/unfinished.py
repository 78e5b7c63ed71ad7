"""What a training needs to go on after its last epoch, if its process is killed: a file that is removed at its end.

With it the same command ends in the same weights, to the byte. Lightning's checkpoints hold pickles, which can run code
when they are read.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from tqdm import tqdm

from earshot.batches.datamodule import WindowDataModule
from earshot.errors import EarshotError
from earshot.training import plain
from earshot.training.callbacks import History
from earshot.training.classifier import Classifier

SECONDS = 30.0  # of training until what it has come to is kept: a short one pays nothing


class Unfinished(pl.Callback):
    """Keep the state of a training after an epoch, and go on from a state that was kept."""

    def __init__(self, path: Path, history: History, batches: WindowDataModule):
        """Take where it is kept, and what has a part of it: the record of the epochs, and the order of the windows."""
        self.path, self.history, self.batches = path, history, batches
        self.kept = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: Classifier) -> None:
        """Go on from the state in the file, if there is one; a damaged one is told of."""
        if not self.path.exists():
            return
        try:
            state = plain.read(self.path)
        except EarshotError as error:
            tqdm.write(f"{error}; the training begins anew", file=sys.stderr)
            return
        pl_module.load_state_dict(state["module"])
        for optimizer, of_it in zip(trainer.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(of_it)
        for config, of_it in zip(trainer.lr_scheduler_configs, state["schedules"], strict=True):
            config.scheduler.load_state_dict(of_it)
        trainer.precision_plugin.load_state_dict(state["precision"])
        self.history.load(state["history"])
        pl_module.earlier = [*self.history.epochs]
        steps = ("ready", "started", "processed", "completed")
        trainer.fit_loop.epoch_progress.current.load_state_dict(dict.fromkeys(steps, len(self.history.epochs)))
        self.batches.generator.set_state(state["order"])
        _set_random(state["random"][trainer.global_rank])
        self.kept = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Classifier) -> None:
        """Keep the state if the last one is `SECONDS` old."""
        if not trainer.strategy.broadcast(time.monotonic() - self.kept >= SECONDS):
            return
        numbers = _of_all(_random(), trainer.world_size)
        if trainer.is_global_zero:
            state = {
                "module": pl_module.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in trainer.optimizers],
                "schedules": [config.scheduler.state_dict() for config in trainer.lr_scheduler_configs],
                "precision": trainer.precision_plugin.state_dict(),
                "history": self.history.state(),
                "order": self.batches.generator.get_state(),
                "random": numbers,
            }
            plain.write(self.path, state)
        self.kept = time.monotonic()


def _random() -> dict[str, Any]:
    """Return the state of all random numbers of this process."""
    numpy: dict[str, Any] = np.random.get_state(legacy=False)  # type: ignore[assignment]
    words = torch.from_numpy(numpy["state"]["key"].astype(np.int64))
    gpu = [torch.cuda.get_rng_state()] if torch.cuda.is_initialized() else []
    return {
        "python": random.getstate(),
        "numpy": numpy | {"state": numpy["state"] | {"key": words}},
        "torch": torch.get_rng_state(),
        "gpu": gpu,
    }


def _set_random(state: dict[str, Any]) -> None:
    numpy = state["numpy"]
    words = numpy["state"]["key"].numpy().astype(np.uint32)
    np.random.set_state(numpy | {"state": numpy["state"] | {"key": words}})
    random.setstate(state["python"])
    torch.set_rng_state(state["torch"])
    for on_gpu in state["gpu"]:
        torch.cuda.set_rng_state(on_gpu)


def _of_all(mine: dict[str, Any], world_size: int) -> list[Any]:
    """Return what each process of the training has."""
    if world_size == 1:
        return [mine]
    found: list[Any] = [None] * world_size
    torch.distributed.all_gather_object(found, mine)
    return found
