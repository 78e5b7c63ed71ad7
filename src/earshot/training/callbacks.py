"""What happens at each epoch of a training, as Lightning's callbacks: weights chosen, scores printed and logged.

The scores of an epoch are those that `Classifier` has computed by its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch

from earshot.models import layers
from earshot.training.classifier import Classifier

if TYPE_CHECKING:
    from earshot.tracking.logger import Epoch, Run

LINES = 10  # of a training, where there is no terminal for a progress bar


class History(pl.Callback):
    """Record the scores of every epoch, and the weights of the best or the last one.

    Attributes
    ----------
    epochs : the scores, one `Epoch` each
    weights : of the epoch with the lowest validation loss, or of the last one
    weights_epoch : which epoch that is, from 1
    """

    def __init__(self, checkpoint: str):
        """Take which epoch's weights to use: "best" or "last"."""
        self.checkpoint = checkpoint
        self.epochs: list[Epoch] = []
        self.weights: dict[str, torch.Tensor] = {}
        self.weights_epoch = 0

    def state(self) -> dict[str, Any]:
        """Return the whole record."""
        return {"epochs": self.epochs, "weights": self.weights, "weights_epoch": self.weights_epoch}

    def load(self, state: dict[str, Any]) -> None:
        """Take a record."""
        self.epochs, self.weights, self.weights_epoch = state["epochs"], state["weights"], state["weights_epoch"]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Classifier) -> None:
        """Add the epoch's scores, and copy its weights if they are the ones to use so far."""
        epoch = pl_module.epoch
        best_before = min((earlier["val_loss"] for earlier in self.epochs), default=float("inf"))
        self.epochs.append(epoch)
        if self.checkpoint == "last" or epoch["val_loss"] < best_before or not self.weights:
            self.weights_epoch = trainer.current_epoch + 1
            self.weights = {name: copied(value) for name, value in pl_module.chosen.state_dict().items()}


def copied(value: torch.Tensor) -> torch.Tensor:
    """Return a copy on the CPU, in the order of its dimensions, whatever the layout is that it is computed with."""
    return value.detach().cpu().clone(memory_format=torch.contiguous_format)


class StopEarly(pl.Callback):
    """End a training whose validation loss has not fallen for some epochs."""

    def __init__(self, patience: int):
        """Take the number of epochs."""
        self.patience = patience
        self.best, self.best_epoch = float("inf"), 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: Classifier) -> None:
        """Compare the epochs before."""
        for epoch in pl_module.earlier:
            self._compare(trainer, epoch)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Classifier) -> None:
        """Compare the epoch with the best so far."""
        self._compare(trainer, pl_module.epoch)

    def _compare(self, trainer: pl.Trainer, epoch: Epoch) -> None:
        if epoch["val_loss"] < self.best:
            self.best, self.best_epoch = epoch["val_loss"], epoch["epoch"]
        if epoch["epoch"] - self.best_epoch >= self.patience:
            trainer.should_stop = True


class PrintLayers(pl.Callback):
    """Print the model's layers before training, as Keras' `model.summary()` does."""

    def on_fit_start(self, trainer: pl.Trainer, pl_module: Classifier) -> None:
        """Print the table."""
        print(layers.as_text(pl_module.layers), flush=True)


class PrintEpochs(pl.Callback):
    """Print the scores of some ten epochs, a line each, where there is no terminal for a progress bar."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: Classifier) -> None:
        """Say where a training goes on."""
        if pl_module.earlier:
            print(f"  goes on after epoch {len(pl_module.earlier)}/{trainer.max_epochs}", flush=True)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Classifier) -> None:
        """Print the line of every n-th epoch."""
        epoch = pl_module.epoch
        if epoch["epoch"] % max(1, trainer.max_epochs // LINES) == 0:
            scores = "  ".join(f"{key} {value:.4f}" for key, value in epoch.items() if key != "epoch")
            print(f"  epoch {epoch['epoch']}/{trainer.max_epochs}  {scores}", flush=True)


class LogEpochs(pl.Callback):
    """Log the scores of each epoch to a run in MLflow while it is trained."""

    def __init__(self, run: Run):
        """Take the run."""
        self.run = run

    def on_train_start(self, trainer: pl.Trainer, pl_module: Classifier) -> None:
        """Log the epochs before: the run that was killed had them."""
        for epoch in pl_module.earlier:
            self.run.epoch(epoch)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Classifier) -> None:
        """Log the epoch."""
        self.run.epoch(pl_module.epoch)
