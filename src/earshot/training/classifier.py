"""How a model learns: the LightningModule, and what is kept of each epoch."""

from __future__ import annotations

from collections.abc import Callable

import pytorch_lightning as pl
import torch
from torch import nn

from earshot.models import heads
from earshot.tracking.logger import Epoch


class Classifier(pl.LightningModule):
    """Cross-entropy and accuracy of a model that gives logits."""

    def __init__(self, net: nn.Module, optimizer: Callable):
        """Take the model and an optimizer that only lacks the parameters."""
        super().__init__()
        self.net, self.optimizer = net, optimizer
        self.sums: dict[str, torch.Tensor] = {}  # of each part: loss, right ones and windows of the epoch so far

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], _: int) -> torch.Tensor:
        """Return the loss of a batch (x, y)."""
        return self._step(batch, "train")

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor], _: int) -> None:
        """Count the loss and accuracy of a batch (x, y)."""
        self._step(batch, "val")

    def _step(self, batch, part: str) -> torch.Tensor:
        x, y = batch
        logits = self.net(x)
        loss = heads.loss(logits, y)
        with torch.no_grad():
            right = (heads.probabilities(logits).argmax(dim=1) == y).sum()
            step = torch.stack([loss * len(y), right.to(loss.dtype), torch.full_like(loss, len(y))])
            self.sums[part] = self.sums.get(part, 0) + step
        return loss

    def scores(self) -> dict[str, float]:
        """Return mean loss and accuracy of the epoch's windows, of training and validation, and begin anew.

        Lightning's own `log` does the same; at every step it takes longer than a small network.
        """
        found = {}
        for part, (loss, right, windows) in ((part, sums.tolist()) for part, sums in self.sums.items()):
            found |= {f"{part}_loss": loss / windows, f"{part}_accuracy": right / windows}
        self.sums = {}
        return found

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer of what can be trained."""
        return self.optimizer(params=[p for p in self.parameters() if p.requires_grad])


class History(pl.Callback):
    """Keep the scores of every epoch, and the weights of the one that is asked for.

    Attributes
    ----------
    epochs : the scores, one `Epoch` each
    weights : of the best epoch by validation loss, or of the last
    kept_epoch : which one that is, from 1
    """

    def __init__(self, checkpoint: str, on_epoch: list[Callable[[Epoch], None]]):
        """Take "best" or "last", and what is to be told of each epoch."""
        self.checkpoint, self.on_epoch = checkpoint, on_epoch
        self.epochs: list[Epoch] = []
        self.weights: dict[str, torch.Tensor] = {}
        self.kept_epoch = 0

    def on_train_epoch_end(self, trainer: pl.Trainer, module: Classifier) -> None:
        """Take the epoch's scores; validation has run by now."""
        scores = module.scores()
        best_before = min((epoch["val_loss"] for epoch in self.epochs), default=float("inf"))
        self.epochs.append({"epoch": trainer.current_epoch + 1, **scores})
        if self.checkpoint == "last" or scores["val_loss"] < best_before or not self.weights:
            self.kept_epoch = trainer.current_epoch + 1
            self.weights = {name: value.detach().cpu().clone() for name, value in module.net.state_dict().items()}
        for tell in self.on_epoch:
            tell(self.epochs[-1])
