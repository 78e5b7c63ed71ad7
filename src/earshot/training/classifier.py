"""How a model learns: the LightningModule, with the loss and accuracy of each epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from torch import nn

from earshot.models import heads
from earshot.training.averaging import averaged
from earshot.training.groups import groups_of
from earshot.training.options import Training
from earshot.training.schedules import schedule

if TYPE_CHECKING:
    from earshot.augment import Augmenter
    from earshot.tracking.logger import Epoch
    from earshot.training.loss import Loss


class Classifier(pl.LightningModule):
    """Cross-entropy and accuracy of a model that gives logits.

    Attributes
    ----------
    net : the model
    layers : the rows of its summary, see `models.layers`
    epoch : the scores of the latest epoch, there for callbacks from `on_validation_end` on
    earlier : those of the epochs before training goes on from a state that was kept, there from `on_train_start` on
    """

    def __init__(
        self,
        net: nn.Module,
        optimizer: Callable[..., torch.optim.Optimizer],
        layers: list[dict[str, Any]],
        training: Training,
        loss: Loss | None = None,
        augmenter: Augmenter | None = None,
    ):
        """Take the model, an optimizer that only lacks the parameters, and the model's layers.

        Parameters
        ----------
        training : which schedule and average of weights to use
        loss : of a training step, by default `heads.loss`; validation has that in any case
        augmenter : changes the windows of a training step; where it mixes labels, `loss` is needed
        """
        super().__init__()
        self.net, self.optimizer, self.layers, self.training_options = net, optimizer, layers, training
        self.augmenter = augmenter
        self.loss, self.average = loss, averaged(training.averaging, net, training.ema_decay)
        self.epoch: Epoch = {}
        self.earlier: list[Epoch] = []
        self._sums: dict[str, torch.Tensor] = {}  # by part: loss, correct and all windows of the epoch so far
        self._unused: list[nn.Parameter] | None = None  # parameters that a step does not use; None before it is known
        self.automatic_optimization = takes_steps(net)

    @property
    def chosen(self) -> nn.Module:
        """What an epoch's scores and weights are of: the averaged model where there is one by then, else the model."""
        return self.average.module if self.average is not None and self.average.n_averaged > 0 else self.net

    def training_step(self, batch: Sequence[Any], number: int) -> torch.Tensor | None:
        """Return the loss of the epoch's batch (x, y) of that number, counted from 0.

        Of a process' share of a batch there are two numbers more, see `batches.share`.
        A model that solves for its weights does so, and has none to descend.
        """
        x, y, *counts = batch
        if _is_solved(self.net):
            *before, model = self.net.children()
            model.solve(nn.Sequential(*before)(x), y, self.current_epoch)
        x, mixing = self.augmenter(x, self.current_epoch, number) if self.augmenter else (x, None)
        logits = self.net(x)
        loss = heads.loss(logits, y) if self.loss is None else self.loss(logits, self.loss.targets(y, mixing))
        self._count("train", loss, logits, y, *counts)
        if counts:  # the mean over the processes' gradients is that of all windows of the batch
            mine, of = counts
            loss = self._of_all_parameters(loss * (mine * self.trainer.world_size / of))
        return loss if self.automatic_optimization else None

    def _of_all_parameters(self, loss: torch.Tensor) -> torch.Tensor:
        """Return a loss with a gradient, if of zero, for each parameter: DDP waits for all."""
        if self._unused is None:
            trained = [p for p in self.net.parameters() if p.requires_grad]
            found = torch.autograd.grad(loss, trained, retain_graph=True, allow_unused=True)
            self._unused = [p for p, gradient in zip(trained, found, strict=True) if gradient is None]
        return loss + sum((0 * p.sum() for p in self._unused), start=torch.zeros_like(loss))

    def validation_step(self, batch: Sequence[Any], _: int) -> None:
        """Count the loss and accuracy of a batch (x, y)."""
        x, y, *counts = batch
        logits = self.chosen(x)
        self._count("val", heads.loss(logits, y), logits, y, *counts)

    @torch.no_grad()
    def _count(self, part: str, loss: torch.Tensor, logits: torch.Tensor, y: torch.Tensor, *counts: int) -> None:
        correct = _right(logits, y).sum()
        step = torch.stack([loss * len(y), correct.to(loss.dtype), torch.full_like(loss, len(y))])
        if counts and not counts[0]:  # a window of another process
            step = torch.zeros_like(step)
        self._sums[part] = self._sums.get(part, 0) + step

    def on_train_batch_end(self, *_: Any) -> None:
        """Add the weights after a step to the exponential moving average."""
        if self.training_options.averaging == "ema":
            self.average.update_parameters(self.net)

    def on_validation_epoch_start(self) -> None:
        """Add the weights after one of the last epochs to the plain average."""
        options = self.training_options
        last = math.ceil(options.swa_share * options.max_epochs)
        if options.averaging == "swa" and self.current_epoch >= options.max_epochs - last:
            self.average.update_parameters(self.net)

    def on_validation_epoch_end(self) -> None:
        """Compute mean loss and accuracy of the epoch's training and validation windows.

        Lightning's own `log` does the same; at every step it takes longer than a small network.
        """
        self.epoch = {"epoch": self.current_epoch + 1}
        sums = self.trainer.strategy.reduce(torch.stack([*self._sums.values()]), reduce_op="sum")  # of all processes
        for part, (loss, correct, windows) in zip(self._sums, sums.tolist(), strict=True):
            self.epoch |= {f"{part}_loss": loss / windows, f"{part}_accuracy": correct / windows}
        self._sums = {}

    def configure_optimizers(self) -> dict[str, Any] | None:
        """Return the optimizer of what can be trained by gradient steps, and the schedule of its rate if it has one."""
        if not self.automatic_optimization:
            return None
        optimizer = self.optimizer(params=[p for p in self.net.parameters() if p.requires_grad])
        if groups := groups_of(self.net, optimizer.defaults["lr"]):
            optimizer = self.optimizer(params=groups)
        options = self.training_options
        if options.schedule == "constant":
            return {"optimizer": optimizer}
        steps = int(self.trainer.estimated_stepping_batches)
        scheduler = schedule(options.schedule, optimizer, steps, options.warm_up)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def takes_steps(net: nn.Module) -> bool:
    """Tell whether a model learns by gradient steps: it has something to train, and does not solve for it."""
    return any(p.requires_grad for p in net.parameters()) and not _is_solved(net)


def _is_solved(net: nn.Module) -> bool:
    """Tell whether the model finds its weights from all windows at once: see `earshot.models`."""
    return hasattr(list(net.children())[-1], "solve")


def _right(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return which windows are predicted right, bool, (B,); multi-label, the whole set at a threshold of 0.5."""
    if y.ndim == 2:
        return ((logits > 0) == (y > 0)).all(dim=1)
    return heads.probabilities(logits).argmax(dim=1) == y
