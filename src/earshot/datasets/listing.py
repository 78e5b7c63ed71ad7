"""The layouts: which files of a dataset's folder are its recordings, and the label, group and fold of each."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from earshot.audio import files
from earshot.datasets import class_map, feature_table, labelled, place, table_layout, union
from earshot.datasets.card import Card, card_path, members_of
from earshot.datasets.layouts import ClassFolders, Events, FeatureTable, Groups, LongRecordings, Table
from earshot.datasets.names import check_text
from earshot.datasets.tables import read_table
from earshot.errors import EarshotError
from earshot.metrics.labels import is_set


def recordings_of(card: Card, folder: Path, where: str | None = None) -> list[dict[str, Any]]:
    """List the dataset's recordings as rows with recording, path, label, group and fold, in the order of their names.

    The label is the class that the card's `classes` give it, where the card has them; `where` names what holds this
    map, by default the card.

    A recording outside a class folder has no label. What is no recording is counted by `ignored.find`. A row that is
    set aside or left out before its file is decoded has its reason too, and its status. Where labels are events, a row
    has `annotations` in place of a label: those of its recording, None where nothing labels it; `background`, the label
    of what they don't cover; `together`, whether classes that are heard at once are a set; and where the card has
    `classes`, `class_of`, the class of each label.

    Raises
    ------
    EarshotError
        If a recording or label that the card names is missing, a table lacks a column, or there is no file at all.
    """
    rows = place.only_listed(card, _rows(card, folder))
    if bracketed := [label for row in rows for label in _classes(row, card) if is_set(label)]:
        raise EarshotError(
            f"{folder}: the class {bracketed[0]} begins with a bracket, which marks a set of classes: rename it"
        )
    if card.classes:
        rows = class_map.mapped(rows, card.classes, where or f"{card_path(card.name)}: classes")
    if not rows:
        raise EarshotError(f"{folder} holds no recordings of {card.name}. Run `dvc repro -f download@{card.name}`")
    check_text((row["path"] for row in rows), str(folder))
    return rows


def _classes(row: dict[str, Any], card: Card) -> list[str]:
    """Return what a row is labelled with, where that is a class each."""
    if "annotations" in row:
        return [annotation.label for annotation in row["annotations"] or ()]
    return [row["label"]] if row["label"] and not card.multi_label else []


def _rows(card: Card, folder: Path) -> list[dict[str, Any]]:
    if card.union:
        return _members(card, folder)
    if isinstance(card.layout, LongRecordings):
        return _long_recordings(card, card.layout, folder)
    if isinstance(card.layout, Table):
        rows = table_layout.rows_of(card.layout, folder)
        return _grouped(rows, card.layout.groups, folder) if card.layout.groups else rows
    if isinstance(card.layout, Events):
        return _events(card.layout, folder)
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
    for path in files.find(top).recordings:
        if path == table:
            continue
        name = path.relative_to(top)
        label = name.parts[0] if len(name.parts) > 1 else None
        rows.append(_row(name.as_posix(), path.relative_to(folder).as_posix(), label))
    return _grouped(rows, layout.groups, folder) if layout.groups else rows


def _events(layout: Events, folder: Path) -> list[dict[str, Any]]:
    top = folder / layout.folder
    present, annotations = labelled.annotations_of(layout, folder)
    unlabelled = [] if layout.unlabelled == "background" else None
    rows = []
    for name in sorted({*present, *annotations}):
        row = _row(name, (top / name).relative_to(folder).as_posix(), None)
        row |= {"annotations": annotations.get(name, unlabelled), "background": layout.background}
        row |= {"together": layout.overlaps == "together"}
        rows.append(row if name in present else row | {"reason": "missing"})
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
    wanted = [groups.filename, groups.group, *([groups.fold] if groups.fold else [])]
    table = read_table(path, wanted, "layout.groups in the dataset's card", unique=[groups.filename])
    key = _stem if groups.match == "stem" else _key
    line_of = _lines_of(path, table[groups.filename], {row["recording"]: row["path"] for row in rows}, key)

    def field(recording: str, column: str | None) -> str | None:
        return table.loc[line_of[recording], column] if column and recording in line_of else None

    return [
        row
        | {"group": field(row["recording"], groups.group)}
        | ({"fold": field(row["recording"], groups.fold)} if groups.fold else {})
        for row in rows
    ]


def _lines_of(path: Path, names: pd.Series, recordings: dict[str, str], key: Callable[[str], str]) -> dict[str, int]:
    """Return the line of a table that names each recording, by its path or by its name alone; a path decides.

    Parameters
    ----------
    path : of the table
    names : its column of names or paths, by line; a path is one below the class folders or below the dataset's folder
    recordings : the path of each below the dataset's folder
    key : a name or path as it is looked up

    Raises
    ------
    EarshotError
        If a name is that of several recordings, or none of them is in the table.
    """
    line_of: dict[str, int] = {}
    for line, name in names.dropna().items():
        if (first := line_of.setdefault(key(name), line)) != line:
            raise EarshotError(f"{path}, line {line}: '{name}' has a row already, line {first}")
    found, alone = {}, {}
    for name, in_folder in recordings.items():
        keys = [each for each in (key(name), key(in_folder)) if each in line_of]
        bare = PurePosixPath(key(name)).name
        if keys:
            found[name] = line_of[keys[0]]
        elif bare in line_of:
            alone.setdefault(bare, []).append(name)
    for bare, called in alone.items():
        if len(called) > 1:
            raise EarshotError(
                f"{path}, line {line_of[bare]}: '{bare}' may be {called[0]} or {called[1]}. Write the path in place of "
                "the name"
            )
        found[called[0]] = line_of[bare]
    if recordings and not found:
        raise EarshotError(
            f"{path}: {names.name} names none of the recordings; its first is '{names.dropna().iloc[0]}', theirs "
            f"'{next(iter(recordings))}'"
            if names.notna().any()
            else f"{path}: {names.name} is empty in all rows"
        )
    return found


def _key(name: str) -> str:
    """Return a name or path as it is looked up: with `/`, without a leading `./`, its accents composed."""
    return unicodedata.normalize("NFC", str(PurePosixPath(name.replace("\\", "/"))))


def _stem(name: str) -> str:
    """Return `_key` without the suffix, which has a letter first: the number in `blues.00000` is none."""
    return re.sub(r"\.[A-Za-z]\w{0,4}$", "", _key(name))
