"""Validation elsewhere: a union's checkpoints are chosen on a dataset that their fold's training has not heard.

A score within one dataset also rewards what tells how that dataset was recorded. Where the validation part is another
member of the union, a model is chosen by what holds there too (leave-one-dataset-out validation; Gulrajani and
Lopez-Paz 2021, arXiv:2007.01434, call it leave-one-domain-out).
"""

from __future__ import annotations

import pandas as pd

from earshot.datasets.card import Card
from earshot.errors import EarshotError
from earshot.metrics import labels

LEAST_CLASSES = 2  # of a member, or a model could not be chosen by how it tells them apart


def member_of(recordings: pd.Series) -> pd.Series:
    """Return the member of a union that each recording is of, see `union.prefixed`."""
    return recordings.str.partition("/")[0]


def asked(card: Card, setting: dict[str, str]) -> bool:
    """Whether a dataset is validated elsewhere: `split.validation` says so, and it is a union of datasets."""
    return setting["validation"] == "elsewhere" and card.union is not None


def rotation(spans: pd.DataFrame, dataset: str) -> list[str]:
    """List the members that can be held out for validation, in the order of their names.

    A member can be where it has two classes or more and the others together have every class.

    Parameters
    ----------
    spans : those that can be tested, with columns recording and label
    dataset : the union's name, for the message

    Raises
    ------
    EarshotError
        If none can be; it lists the classes of each.
    """
    member = member_of(spans["recording"])
    classes = {name: set(labels.classes_of(rows["label"])) for name, rows in spans.groupby(member)}
    wanted = set().union(*classes.values())

    def others(name: str) -> set[str]:
        return set().union(*(found for other, found in classes.items() if other != name))

    held_out = [name for name, own in classes.items() if len(own) >= LEAST_CLASSES and others(name) == wanted]
    if not held_out:
        listed = "; ".join(f"{name} has {', '.join(sorted(own))}" for name, own in classes.items())
        raise EarshotError(
            f"{dataset} can't be validated elsewhere: no member has two classes while the others together have all "
            f"({listed}). Add a dataset to the union, or set split.validation in params.yaml to within"
        )
    return held_out


def held_out(split: pd.DataFrame) -> list[str]:
    """Return the member that each fold of a union's grouped split holds out for validation, by fold.

    Returns
    -------
    empty where the folds are validated within: they train on the members of their validation parts
    """
    found: list[str] = []
    for _, rows in split.assign(member=member_of(split["recording"])).groupby("fold"):
        validation, train = (set(rows.loc[rows["part"] == part, "member"]) for part in ("validation", "train"))
        if len(validation) != 1 or validation & train:
            return []
        found += validation
    return found


def described(members: list[str]) -> str:
    """Say in a line which dataset is held out in which fold; nothing where none is."""
    if not members:
        return ""
    folds = [f"{name} (fold {', '.join(_folds(members, name))})" for name in dict.fromkeys(members)]
    return (
        f"validated elsewhere: each fold's checkpoint is chosen on a dataset it does not train on, {'; '.join(folds)}"
    )


def _folds(members: list[str], name: str) -> list[str]:
    return [str(fold) for fold, member in enumerate(members) if member == name]
