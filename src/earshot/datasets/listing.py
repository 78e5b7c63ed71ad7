"""The layouts: which files of a dataset's folder are its recordings, and the label, group and fold of each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd

from earshot.datasets import class_map, feature_table, place, table_layout, union
from earshot.datasets.card import (
    Card,
    ClassFolders,
    FeatureTable,
    Groups,
    LongRecordings,
    Table,
    card_path,
    members_of,
)
from earshot.errors import EarshotError
from earshot.metrics.labels import is_set


def recordings_of(card: Card, folder: Path, where: str | None = None) -> list[dict[str, Any]]:
    """List the dataset's files as rows with recording, path, label, group and fold, in the order of their names.

    The label is the class that the card's `classes` give it, where the card has them; `where` names what holds this
    map, by default the card.

    A file outside a class folder has no label. Files that the card names for another purpose (groups,
    segments) are not recordings and are skipped. A row that is set aside or left out before its file is decoded has
    its reason too, and its status.

    Raises
    ------
    EarshotError
        If a recording or label that the card names is missing, a table lacks a column, or there is no file at all.
    """
    rows = place.only_listed(card, _rows(card, folder))
    if bracketed := [row["label"] for row in rows if not card.multi_label and is_set(row["label"] or "")]:
        raise EarshotError(
            f"{folder}: the class {bracketed[0]} begins with a bracket, which marks a set of classes: rename it"
        )
    if card.classes:
        rows = class_map.mapped(rows, card.classes, where or f"{card_path(card.name)}: classes")
    if not rows:
        raise EarshotError(f"{folder} holds no recordings of {card.name}. Run `dvc repro -f download@{card.name}`")
    return rows


def _rows(card: Card, folder: Path) -> list[dict[str, Any]]:
    if card.union:
        return _members(card, folder)
    if isinstance(card.layout, LongRecordings):
        return _long_recordings(card, card.layout, folder)
    if isinstance(card.layout, Table):
        return table_layout.rows_of(card.layout, folder)
    if isinstance(card.layout, FeatureTable):
        return _feature_table(card.layout, folder)
    return _class_folders(card.layout, folder)


def _members(card: Card, folder: Path) -> list[dict[str, Any]]:
    union.check_cards(card, folder)
    if len({member.multi_label for member in members_of(card).values()}) > 1:
        raise EarshotError(
            f"{card_path(card.name)}: union: a multi-label dataset can't be united with one of single labels"
        )
    rows = []
    for name, member in members_of(card).items():
        where = f"{card_path(card.name)}: union.{name}.classes" if card.union[name].classes else None
        rows += [union.prefixed(row, name) for row in recordings_of(member, folder / name, where)]
    return rows


def _class_folders(layout: ClassFolders, folder: Path) -> list[dict[str, Any]]:
    top = folder / layout.folder
    table = folder / layout.groups.file if layout.groups else None
    rows = []
    for path in sorted(path for path in top.rglob("*") if path.is_file() and path != table):
        name = path.relative_to(top)
        label = name.parts[0] if len(name.parts) > 1 else None
        rows.append(_row(name.as_posix(), path.relative_to(folder).as_posix(), label))
    return _grouped(rows, layout.groups, folder) if layout.groups else rows


def _long_recordings(card: Card, layout: LongRecordings, folder: Path) -> list[dict[str, Any]]:
    for label, name in layout.recordings.items():
        if not (folder / name).is_file():
            raise EarshotError(f"{folder / name} is missing: the card of {card.name} names it for class '{label}'")
    return [_row(name, name, label) for label, name in sorted(layout.recordings.items())]


def _feature_table(layout: FeatureTable, folder: Path) -> list[dict[str, Any]]:
    """Return a row for each row of the table, which is the file of them all, with the digest of its features."""
    features = feature_table.read(layout, folder)
    digests = feature_table.digests(features)
    rows = [
        _row(recording, layout.file, label) | {"sha256": sha256}
        for recording, label, sha256 in zip(features.index, features["label"], digests, strict=True)
    ]
    return _grouped(rows, layout.groups, folder) if layout.groups else rows


def _row(recording: str, path: str, label: str | None) -> dict[str, Any]:
    """Return a row; without a table each recording is a group of its own."""
    return {"recording": recording, "path": path, "label": label, "group": recording, "fold": None}


def _grouped(rows: list[dict[str, Any]], groups: Groups, folder: Path) -> list[dict[str, Any]]:
    """Return the rows with the groups and folds of the card's table; a recording that is not in it has none."""
    path = folder / groups.file
    table = pd.read_csv(path, dtype=str)
    wanted = [groups.filename, groups.group, *([groups.fold] if groups.fold else [])]
    if absent := [column for column in wanted if column not in table]:
        raise EarshotError(f"{path} has no column {', '.join(absent)}; it has {', '.join(table.columns)}")
    key = _stem if groups.match == "stem" else str
    by_name = table.set_index(table[groups.filename].map(key))
    names = [key(Path(row["recording"]).name) for row in rows]
    group_of, fold_of = by_name[groups.group], by_name[groups.fold] if groups.fold else {}
    return [
        row | {"group": group_of.get(name), "fold": fold_of.get(name)} for row, name in zip(rows, names, strict=True)
    ]


def _stem(name: str) -> str:
    """Return a file name without its suffix, which has a letter first: the number in `blues.00000` is none."""
    return re.sub(r"\.[A-Za-z]\w{0,4}$", "", name)
