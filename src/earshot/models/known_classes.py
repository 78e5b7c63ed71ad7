"""A task's classes in the words of a network that knows others: which of its classes stand for each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

REST = "*"  # stands for all that none of the other classes is


def members_of(labels: Mapping[str, Any], classes: Sequence[str], known: Sequence[str]) -> list[list[int]]:
    """Return for each class the numbers of the network's classes that stand for it; none for "*".

    Parameters
    ----------
    labels : class -> the names of the network's classes, or "*"
    classes : of the task, in the order of a model's outputs
    known : the network's classes

    Raises
    ------
    ValueError
        If a class has none, two have "*", or the network does not know one.
    """
    if set(labels) != set(classes):
        raise ValueError(f"conf/labels/ has {', '.join(labels)}, and the classes are {', '.join(classes)}")
    if sum(labels[name] == REST for name in classes) > 1:
        raise ValueError(f"conf/labels/: one class alone can be all that no other is, '{REST}'")
    numbers = {name: number for number, name in enumerate(known)}
    named = {name: [] if labels[name] == REST else list(labels[name]) for name in classes}
    if strange := [label for names in named.values() for label in names if label not in numbers]:
        raise ValueError(f"conf/labels/: the network has no class '{strange[0]}'")
    return [[numbers[label] for label in named[name]] for name in classes]


def logit(threshold: float) -> float:
    """Return the logit of a probability.

    Raises
    ------
    ValueError
        If it is not between 0 and 1.
    """
    if not 0 < threshold < 1:
        raise ValueError(f"threshold is {threshold}, and must be a probability above 0 and below 1")
    return math.log(threshold / (1 - threshold))


def highest(scores: torch.Tensor, members: Sequence[Sequence[int]], rest: float, n_outputs: int) -> torch.Tensor:
    """Return the logits of a task's classes, each the highest of the logits of the classes that stand for it.

    Parameters
    ----------
    scores : logits of the network's classes, (B, C)
    members : see `members_of`
    rest : the logit of the class that has no members
    n_outputs : one for each class, or 1 for two, whose logits are subtracted

    Returns
    -------
    (B, n_outputs)
    """
    best = [
        scores[:, list(numbers)].amax(dim=1) if numbers else torch.full_like(scores[:, 0], rest) for numbers in members
    ]
    logits = torch.stack(best, dim=1)
    return logits[:, 1:] - logits[:, :1] if n_outputs < len(members) else logits
