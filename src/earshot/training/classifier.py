"""How a model learns: the LightningModule, with the loss and accuracy of each epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from torch import nn

from earshot.models import heads

if TYPE_CHECKING:
    from earshot.tracking.logger import Epoch


class Classifier(pl.LightningModule):
    """Cross-entropy and accuracy of a model that gives logits.

    Attributes
    ----------
    net : the model
    layers : the rows of its summary, see `models.layers`
    epoch : the scores of the latest epoch, there for callbacks from `on_validation_end` on
    """

    def __init__(self, net: nn.Module, optimizer: Callable[..., torch.optim.Optimizer], layers: list[dict[str, Any]]):
        """Take the model, an optimizer that only lacks the parameters, and the model's layers."""
        super().__init__()
        self.net, self.optimizer, self.layers = net, optimizer, layers
        self.epoch: Epoch = {}
        self._sums: dict[str, torch.Tensor] = {}  # by part: loss, correct and all windows of the epoch so far
        self.automatic_optimization = any(p.requires_grad for p in net.parameters()) and not _is_solved(net)

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], _: int) -> torch.Tensor | None:
        """Return the loss of a batch (x, y); a model that solves for its weights does so, and has none to descend."""
        if _is_solved(self.net):
            *before, model = self.net.children()
            model.solve(nn.Sequential(*before)(batch[0]), batch[1], self.current_epoch)
        loss = self._step(batch, "train")
        return loss if self.automatic_optimization else None

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor], _: int) -> None:
        """Count the loss and accuracy of a batch (x, y)."""
        self._step(batch, "val")

    def _step(self, batch: tuple[torch.Tensor, torch.Tensor], part: str) -> torch.Tensor:
        x, y = batch
        logits = self.net(x)
        loss = heads.loss(logits, y)
        with torch.no_grad():
            correct = _right(logits, y).sum()
            step = torch.stack([loss * len(y), correct.to(loss.dtype), torch.full_like(loss, len(y))])
            self._sums[part] = self._sums.get(part, 0) + step
        return loss

    def on_validation_epoch_end(self) -> None:
        """Compute mean loss and accuracy of the epoch's training and validation windows.

        Lightning's own `log` does the same; at every step it takes longer than a small network.
        """
        self.epoch = {"epoch": self.current_epoch + 1}
        for part, (loss, correct, windows) in ((part, sums.tolist()) for part, sums in self._sums.items()):
            self.epoch |= {f"{part}_loss": loss / windows, f"{part}_accuracy": correct / windows}
        self._sums = {}

    def configure_optimizers(self) -> torch.optim.Optimizer | None:
        """Return the optimizer of what can be trained by gradient steps."""
        if not self.automatic_optimization:
            return None
        return self.optimizer(params=[p for p in self.parameters() if p.requires_grad])


def _is_solved(net: nn.Module) -> bool:
    """Tell whether the model finds its weights from all windows at once: see `earshot.models`."""
    return hasattr(list(net.children())[-1], "solve")


def _right(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return which windows are predicted right, bool, (B,); multi-label, the whole set at a threshold of 0.5."""
    if y.ndim == 2:
        return ((logits > 0) == (y > 0)).all(dim=1)
    return heads.probabilities(logits).argmax(dim=1) == y
