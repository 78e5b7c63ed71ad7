"""The layout `table`: CSVs or TSVs with a row for each recording say where it is, and its label, group and fold."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from earshot.audio import files
from earshot.datasets.annotations.annotation import Annotation, annotation
from earshot.datasets.layouts import COLUMN, OneOfTables, Table
from earshot.datasets.manifest import LEFT_OUT
from earshot.datasets.names import plain_relative
from earshot.datasets.tables import read_table
from earshot.errors import EarshotError
from earshot.metrics import labels


def rows_of(layout: Table, folder: Path) -> list[dict[str, Any]]:
    """List the recordings of the tables: rows with recording, path, label, group and fold, in the order of their paths.

    Where the table has clips of recordings, there are `annotations` in place of a label, see `listing.recordings_of`.

    A row whose file is missing, or that has no label, has the reason; so has a file beside the listed ones that
    has no row, with the status "left out".

    Raises
    ------
    EarshotError
        If the table is missing, lacks a column, names a path out of the dataset's folder, says two things of one
        recording, or none of its files exists.
    """
    entries, there, recordings = [], {}, set()
    for table in layout.lists:
        found, heard = _files(table, folder)
        there |= found
        recordings |= heard
        entries += _entries(layout, table, folder, found)
    listed = _listed(layout, entries, set(there.values()))
    unlisted = recordings - {row["path"] for row in listed}
    reason = {"reason": f"not in {layout.files}", "status": LEFT_OUT}
    return sorted([*listed, *(_row(name, None, name, None) | reason for name in unlisted)], key=lambda row: row["path"])


@dataclass(frozen=True)
class _Entry:
    """A row of a table: the table and its name in the card, the line, the recording's path, its fields by column."""

    table: Path
    source: str
    line: Any
    name: str
    fields: dict[str, str | None]

    def fault(self, what: str) -> EarshotError:
        """Return an error that names the line."""
        return EarshotError(f"{self.table}, line {self.line}: {what}")


def _entries(layout: Table, table: OneOfTables, folder: Path, there: dict[str, str]) -> list[_Entry]:
    """Return the rows of a table.

    Raises
    ------
    EarshotError
        If it lacks a column, or none of its files is there.
    """
    path, key = folder / table.file, "layout.tables" if layout.tables else "layout.file"
    columns = (layout.label, layout.group, layout.fold, layout.start, layout.end)
    wanted = dict.fromkeys([*COLUMN.findall(table.path or ""), *filter(None, columns)])
    read = read_table(path, [name for name in wanted if name not in table.values], f"{key} in the dataset's card")
    if both := sorted(table.values.keys() & set(read.columns)):
        raise EarshotError(f"{path} has a column {both[0]}: take it out of its values in {key} of the dataset's card")
    entries = []
    for line, row in zip(read.index, read[[name for name in wanted if name in read]].to_dict("records"), strict=True):
        fields = row | table.values
        name = _path_of(table, path, line, fields)
        entries.append(_Entry(path, table.file, line, there.get(_key(name), name), fields))
    if entries and not {entry.name for entry in entries} & set(there.values()):
        raise EarshotError(_nothing_there(table, path, entries[0].name, there))
    return entries


def _files(table: OneOfTables, folder: Path) -> tuple[dict[str, str], set[str]]:
    """Return the visible files below the folder that the pattern begins with, and those of them that hold sound.

    Returns
    -------
    there : name as it is looked up -> name
    recordings : names
    """
    top = folder / PurePosixPath(COLUMN.split(table.path or "")[0] + "x").parent
    found = files.find(top)
    unheard = (path for path, why in found.ignored.items() if why != files.HIDDEN and path.is_file())
    names = [path.relative_to(folder).as_posix() for path in (*found.recordings, *unheard)]
    return {_key(name): name for name in names}, set(names[: len(found.recordings)])


def _key(name: str) -> str:
    """Return a name as it is looked up: the same letters may be encoded in two ways, an accent apart or not."""
    return unicodedata.normalize("NFC", name)


def _path_of(table: OneOfTables, path: Path, line: Any, row: dict[str, str]) -> str:
    """Return the path that the pattern gives for a row."""

    def value(match: re.Match[str]) -> str:
        if row[match[1]] is None:
            raise EarshotError(f"{path}, line {line}: {match[1]} is empty, and layout.path needs it")
        return row[match[1]].replace("\\", "/")

    try:
        return plain_relative(COLUMN.sub(value, table.path or ""))
    except ValueError as error:
        raise EarshotError(f"{path}, line {line}: {error}") from None


def _listed(layout: Table, entries: list[_Entry], there: set[str]) -> list[dict[str, Any]]:
    """Return a row for each path; rows that say the same of it are one, and clips are its annotations."""
    clips: dict[str, list[Annotation]] = {}
    rows: dict[str, dict[str, Any]] = {}
    first: dict[str, _Entry] = {}
    for entry in entries:
        name, row = entry.name, _row_of(layout, entry)
        if layout.start:
            texts = [entry.fields[column or ""] or "" for column in (layout.start, layout.end, layout.label)]
            clips.setdefault(name, []).append(annotation(entry.table, entry.line, *texts))
            row |= {"label": None, "annotations": clips[name], "background": None}
        elif row["label"] is None:
            row["reason"] = f"no {layout.label} in {entry.source}"
        if rows.setdefault(name, row) != row:
            raise entry.fault(
                f"{name} has a row already, {_where(first[name], entry)}, with another "
                + ("group or fold" if layout.start else "label, group or fold")
            )
        first.setdefault(name, entry)
    return [row if name in there else row | {"reason": "missing"} for name, row in rows.items()]


def _where(entry: _Entry, seen_from: _Entry) -> str:
    return f"line {entry.line}" + (f" of {entry.table}" if entry.table != seen_from.table else "")


def _row_of(layout: Table, entry: _Entry) -> dict[str, Any]:
    label = entry.fields[layout.label]
    group = entry.fields[layout.group] if layout.group else entry.name
    fold = entry.fields[layout.fold] if layout.fold else None
    if layout.separator and label:
        label = _set(label, layout.separator)
    if layout.parts and fold:
        part_of = {name: part for part, names in layout.parts.items() for name in names}
        if fold not in part_of:
            raise entry.fault(f"{layout.fold} is '{fold}', and layout.parts names {', '.join(part_of)}")
        fold = part_of[fold]
    return _row(entry.name, label, group, fold)


def _set(field: str, separator: str) -> str:
    """Return the labels in a field as a set of labels, see `metrics.labels`."""
    return labels.as_set(name.strip() for name in field.split(separator) if name.strip())


def _row(name: str, label: str | None, group: str | None, fold: str | None) -> dict[str, Any]:
    return {"recording": name, "path": name, "label": label, "group": group, "fold": fold}


def _nothing_there(table: OneOfTables, path: Path, first: str, there: dict[str, str]) -> str:
    """Say that none of the listed files exists, and what may be meant."""
    told = f"none of the files that {path} lists is there; by layout.path ({table.path}) its first is {first}"
    close = [name for name in there.values() if str(PurePosixPath(name).with_suffix("")) == first]
    same = [name for name in there.values() if PurePosixPath(name).name == PurePosixPath(first).name]
    if close:
        return f"{told}. {close[0]} is: write {table.path}{PurePosixPath(close[0]).suffix}"
    return f"{told}. {same[0]} is" if same else told
