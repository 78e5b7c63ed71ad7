"""Class maps: the labels of a layout -> the classes of a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from earshot.datasets.manifest import LEFT_OUT
from earshot.errors import EarshotError
from earshot.metrics.labels import as_set, classes_of, is_set, names_of

OTHERS = "*"  # in a map: all labels that no class names


def mapped(rows: list[dict[str, Any]], classes: Mapping[str, list[str]], where: str) -> list[dict[str, Any]]:
    """Return a dataset's rows with the class of each in place of its label.

    A row whose label is in no class is left out, with the reason; one that has no label stays as it is. Of a set of
    labels (see `metrics.labels`) those that are in no class are left out. Where labels are events, the row gets
    `class_of`, the class of each label.

    Parameters
    ----------
    rows : with label at least; see `listing.recordings_of`
    classes : class -> its labels
    where : what holds the map, for errors

    Raises
    ------
    EarshotError
        If the map names a label that no row has, or nothing is left for "*".
    """
    labels = classes_of(label for row in rows for label in _labels(row))
    class_of = {label: name for name, named in classes.items() for label in named}
    others = class_of.pop(OTHERS, None)
    if unknown := [label for label in class_of if label not in labels]:
        raise EarshotError(f"{where} names '{unknown[0]}', and the dataset's labels are {', '.join(labels)}")
    rest = [label for label in labels if label not in class_of]
    if others is not None and not rest:
        raise EarshotError(f'{where}: nothing is left for {others}: "{OTHERS}", the map names every label')
    if others is not None:
        class_of |= dict.fromkeys(rest, others)
    return [_mapped(row, class_of) for row in rows]


def _labels(row: dict[str, Any]) -> set[str]:
    """Return the labels of a row; where they are events, those of its annotations and the background's."""
    if not _has_events(row):
        return set() if row["label"] is None else {row["label"]}
    heard = {annotation.label for annotation in row["annotations"] or ()} | {row["background"]} - {None}
    return heard if row.get("class_of") is None else {row["class_of"][label] for label in heard & set(row["class_of"])}


def _has_events(row: dict[str, Any]) -> bool:
    return "annotations" in row


def _mapped(row: dict[str, Any], class_of: Mapping[str, str]) -> dict[str, Any]:
    if _has_events(row):
        named = row.get("class_of")  # a map of a union comes after that of a member
        chained = {label: class_of[name] for label, name in (named or {}).items() if name in class_of}
        return row | {"class_of": class_of if named is None else chained}
    if row["label"] is None:
        return row
    if classes := [class_of[name] for name in names_of(row["label"]) if name in class_of]:
        return row | {"label": as_set(classes) if is_set(row["label"]) else classes[0]}
    unmapped = f"{', '.join(names_of(row['label']))} is not mapped"
    return row | {"label": None, "reason": f"class {unmapped}", "status": LEFT_OUT}
