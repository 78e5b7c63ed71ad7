"""Classes as a backbone knows them, without any training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from earshot.models.heads import n_outputs

REST = "*"
LEAST = 1e-7  # probability, whose logit is still a number in float32


class ZeroShot(nn.Module):
    """A backbone's scores of its own classes as scores of a task's: (B, 1, C) -> logits (B, 1) or (B, classes).

    A class has the score of the highest of the backbone's classes that stand for it; the class "*" is what is left
    where none of the others reaches `threshold`. Nothing is trained.
    """

    members: list[torch.Tensor]

    def __init__(self, n_rows: int, n_bins: int, n_classes: int, *, members: list[list[int]], threshold: float) -> None:
        """Take windows of shape (n_rows, n_bins).

        Parameters
        ----------
        members : for each class the numbers of the backbone's classes that stand for it; none for "*"
        threshold : probability

        Raises
        ------
        ValueError
            If the threshold is no probability between 0 and 1.
        """
        super().__init__()
        if not 0 < threshold < 1:
            raise ValueError(f"threshold is {threshold}, and must be a probability above 0 and below 1")
        self.members, self.level = members, math.log(threshold / (1 - threshold))
        self.n_outputs = n_outputs(n_classes)

    @classmethod
    def completed(
        cls, settings: Mapping[str, Any], task: str, classes: Sequence[str], columns: Sequence[str] | None
    ) -> dict[str, Any]:
        """Return settings with `members` in place of the names in `labels`: task -> class -> the backbone's classes.

        Raises
        ------
        ValueError
            If there are none for the task, a class has none, or the backbone does not know one.
        """
        if columns is None:
            raise ValueError("it takes scores that have names: use input=tags")
        known = {name: number for number, name in enumerate(columns)}
        given = settings.get("labels", {}).get(task)
        if given is None:
            raise ValueError(f"labels has nothing for the task {task}: say which classes of the backbone stand for its")
        if set(given) != set(classes):
            raise ValueError(f"labels.{task} has {', '.join(given)}, and the classes are {', '.join(classes)}")
        named = {name: [] if given[name] == REST else list(given[name]) for name in classes}
        if strange := [label for labels in named.values() for label in labels if label not in known]:
            raise ValueError(f"labels.{task}: the backbone has no class '{strange[0]}'")
        members = [[known[label] for label in named[name]] for name in classes]
        return {key: value for key, value in settings.items() if key != "labels"} | {"members": members}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        scores = torch.logit(x[:, 0], eps=LEAST)
        best = [
            scores[:, numbers].amax(dim=1) if numbers else torch.full_like(scores[:, 0], self.level)
            for numbers in self.members
        ]
        logits = torch.stack(best, dim=1)
        return logits[:, 1:] - logits[:, :1] if self.n_outputs == 1 else logits
