"""The layout `table`: a CSV or TSV with a row for each recording says where it is, and its label, group and fold."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from earshot.audio import files
from earshot.datasets.annotations.annotation import Annotation, annotation
from earshot.datasets.layouts import COLUMN, Table
from earshot.datasets.manifest import LEFT_OUT
from earshot.datasets.names import plain_relative
from earshot.datasets.tables import read_table
from earshot.errors import EarshotError
from earshot.metrics import labels


def rows_of(layout: Table, folder: Path) -> list[dict[str, Any]]:
    """List the recordings of the table: rows with recording, path, label, group and fold, in the order of their paths.

    Where the table has clips of recordings, there are `annotations` in place of a label, see `listing.recordings_of`.

    A row whose file is missing, or that has no label, has the reason; so has a file beside the listed ones that
    has no row, with the status "left out".

    Raises
    ------
    EarshotError
        If the table is missing, lacks a column, names a path out of the dataset's folder, says two things of one
        recording, or none of its files exists.
    """
    path = folder / layout.file
    columns = (layout.group, layout.fold, layout.start, layout.end)
    wanted = [*COLUMN.findall(layout.path), layout.label, *filter(None, columns)]
    table = read_table(path, list(dict.fromkeys(wanted)), "layout.file in the dataset's card")
    there, recordings = _files(layout, folder)
    rows = zip(table.index, table.to_dict("records"), strict=True)
    names = pd.Series([_path_of(layout, path, line, row) for line, row in rows], index=table.index)
    names = names.map(lambda name: there.get(_key(name), name))
    present = set(there.values())
    listed = [
        row if row["path"] in present else row | {"reason": "missing"} for row in _listed(layout, path, table, names)
    ]
    if listed and all(row.get("reason") == "missing" for row in listed):
        raise EarshotError(_nothing_there(layout, path, listed[0]["path"], there))
    unlisted = recordings - {row["path"] for row in listed}
    reason = {"reason": f"not in {layout.file}", "status": LEFT_OUT}
    return sorted([*listed, *(_row(name, None, name, None) | reason for name in unlisted)], key=lambda row: row["path"])


def _files(layout: Table, folder: Path) -> tuple[dict[str, str], set[str]]:
    """Return the visible files below the folder that the pattern begins with, and those of them that hold sound.

    Returns
    -------
    there : name as it is looked up -> name
    recordings : names
    """
    top = folder / PurePosixPath(COLUMN.split(layout.path)[0] + "x").parent
    found = files.find(top)
    unheard = (path for path, why in found.ignored.items() if why != files.HIDDEN and path.is_file())
    names = [path.relative_to(folder).as_posix() for path in (*found.recordings, *unheard)]
    return {_key(name): name for name in names}, set(names[: len(found.recordings)])


def _key(name: str) -> str:
    """Return a name as it is looked up: the same letters may be encoded in two ways, an accent apart or not."""
    return unicodedata.normalize("NFC", name)


def _path_of(layout: Table, path: Path, line: Any, row: dict[str, str]) -> str:
    """Return the path that the pattern gives for a row."""

    def value(match: re.Match[str]) -> str:
        if row[match[1]] is None:
            raise EarshotError(f"{path}, line {line}: {match[1]} is empty, and layout.path needs it")
        return row[match[1]].replace("\\", "/")

    try:
        return plain_relative(COLUMN.sub(value, layout.path))
    except ValueError as error:
        raise EarshotError(f"{path}, line {line}: {error}") from None


def _listed(layout: Table, path: Path, table: pd.DataFrame, names: pd.Series) -> list[dict[str, Any]]:
    """Return a row for each path; rows that say the same of it are one, and clips are its annotations."""
    clips: dict[str, list[Annotation]] = {}
    rows: dict[str, dict[str, Any]] = {}
    first: dict[str, Any] = {}
    for line, name in names.items():
        fields = [table.at[line, column] if column else None for column in (layout.label, layout.group, layout.fold)]
        label = _set(fields[0], layout.separator) if layout.separator and fields[0] else fields[0]
        row = _row(name, label, fields[1] if layout.group else name, fields[2])
        if layout.start:
            texts = [table.at[line, column] or "" for column in (layout.start, layout.end, layout.label)]
            clips.setdefault(name, []).append(annotation(path, line, *texts))
            row |= {"label": None, "annotations": clips[name], "background": None}
        elif row["label"] is None:
            row["reason"] = f"no {layout.label} in {layout.file}"
        if rows.setdefault(name, row) != row:
            raise EarshotError(
                f"{path}, line {line}: {name} has a row already, line {first[name]}, with another "
                + ("group or fold" if layout.start else "label, group or fold")
            )
        first.setdefault(name, line)
    return list(rows.values())


def _set(field: str, separator: str) -> str:
    """Return the labels in a field as a set of labels, see `metrics.labels`."""
    return labels.as_set(name.strip() for name in field.split(separator) if name.strip())


def _row(name: str, label: str | None, group: str | None, fold: str | None) -> dict[str, Any]:
    return {"recording": name, "path": name, "label": label, "group": group, "fold": fold}


def _nothing_there(layout: Table, path: Path, first: str, there: dict[str, str]) -> str:
    """Say that none of the listed files exists, and what may be meant."""
    told = f"none of the files that {path} lists is there; by layout.path ({layout.path}) its first is {first}"
    close = [name for name in there.values() if str(PurePosixPath(name).with_suffix("")) == first]
    same = [name for name in there.values() if PurePosixPath(name).name == PurePosixPath(first).name]
    if close:
        return f"{told}. {close[0]} is: write {layout.path}{PurePosixPath(close[0]).suffix}"
    return f"{told}. {same[0]} is" if same else told
