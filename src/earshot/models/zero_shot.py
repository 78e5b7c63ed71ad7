"""Classes as a backbone knows them, without any training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from earshot.models import known_classes
from earshot.models.heads import n_outputs

LEAST = 1e-7  # probability, whose logit is still a number in float32


class ZeroShot(nn.Module):
    """A backbone's scores of its own classes as scores of a task's: (B, 1, C) -> logits (B, 1) or (B, classes).

    A class has the score of the highest of the backbone's classes that stand for it; the class "*" is what is left
    where none of the others reaches `threshold`. Nothing is trained.
    """

    def __init__(
        self,
        n_rows: int,
        n_bins: int,
        n_classes: int,
        *,
        members: list[list[int]],
        threshold: float,
        multi_label: bool = False,
    ) -> None:
        """Take windows of shape (n_rows, n_bins).

        Parameters
        ----------
        members : for each class the numbers of the backbone's classes that stand for it; none for "*"
        threshold : probability
        multi_label : whether each class has a logit of its own, however many there are

        Raises
        ------
        ValueError
            If the threshold is no probability between 0 and 1.
        """
        super().__init__()
        self.members, self.rest = members, known_classes.logit(threshold)
        self.n_outputs = n_classes if multi_label else n_outputs(n_classes)

    @classmethod
    def completed(
        cls,
        settings: Mapping[str, Any],
        labels: Mapping[str, Any] | None,
        classes: Sequence[str],
        known: Sequence[str] | None,
    ) -> dict[str, Any]:
        """Return settings with `members`, the numbers of the backbone's classes that `labels` names for each class.

        Raises
        ------
        ValueError
            If there are no labels, or they don't fit the classes or the backbone.
        """
        if known is None:
            raise ValueError("it takes scores that have names: use input=tags")
        if labels is None:
            raise ValueError("conf/labels/ has nothing for this task: say which classes of the backbone stand for its")
        return {**settings, "members": known_classes.members_of(labels, classes, known)}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        return known_classes.highest(torch.logit(x[:, 0], eps=LEAST), self.members, self.rest, self.n_outputs)
