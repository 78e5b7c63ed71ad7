"""Labels as text: a class; in a multi-label dataset the set of a window's classes as a JSON list, `["rain", "wren"]`.

A set is sorted and may be empty, so that two sets are equal where their texts are. A class's name never begins with a
bracket (`datasets.card` sees to that).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import numpy as np


def as_set(names: Iterable[str]) -> str:
    """Return a set of classes as a label."""
    return json.dumps(sorted(set(names)), ensure_ascii=False)


def is_set(label: str) -> bool:
    """Tell a set from a class."""
    return label.startswith("[")


def are_sets(labels: Iterable[str]) -> bool:
    """Tell whether labels are of a multi-label dataset: of one, all are sets, so that the first one tells."""
    return is_set(next(iter(labels), ""))


def names_of(label: str) -> list[str]:
    """Return the classes of a label."""
    return list(json.loads(label)) if is_set(label) else [label]


def classes_of(labels: Iterable[str]) -> list[str]:
    """Return the classes that occur in labels, sorted."""
    return sorted({name for label in set(labels) for name in names_of(label)})


def multi_hot(labels: Iterable[str], classes: Sequence[str]) -> np.ndarray:
    """Return which classes each label has: bool, (labels, classes).

    Raises
    ------
    KeyError
        If a label has a class that is not among `classes`.
    """
    place = {name: number for number, name in enumerate(classes)}
    listed = list(labels)
    hot = np.zeros((len(listed), len(classes)), dtype=bool)
    columns = {label: [place[name] for name in names_of(label)] for label in set(listed)}
    for row, label in enumerate(listed):
        hot[row, columns[label]] = True
    return hot


def from_multi_hot(hot: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Return the sets of classes of rows (N, classes): an array of N texts."""
    return np.array([as_set(name for name, has in zip(classes, row, strict=True) if has) for row in hot], dtype=object)


def rarest(labels: Sequence[str]) -> list[str]:
    """Return of each label the class that the fewest labels have, by which a split is stratified; "" of an empty set.

    Of single classes it is the label itself.
    """
    counts: dict[str, int] = {}
    for label in labels:
        for name in names_of(label):
            counts[name] = counts.get(name, 0) + 1
    return [min(names_of(label), key=lambda name: (counts[name], name), default="") for label in labels]
