"""Features as given: the table that a dataset has in place of recordings, and its manifest."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from earshot.datasets.layouts import FeatureTable
from earshot.datasets.tables import numbers, read_table
from earshot.errors import EarshotError

WHERE = "layout.file in the dataset's card"
VARIES = 1e-6  # standard deviation: a column below it is the same for every recording, as models.standardiser sees it
TAKEN = ("recording", "window", "label")  # names of columns that stand beside the features


def read(layout: FeatureTable, folder: Path) -> pd.DataFrame:
    """Read a dataset's table of features.

    Parameters
    ----------
    layout : of the dataset's card
    folder : of the dataset's files

    Returns
    -------
    A row for each recording, in the table's order; the index is its name. `label` and the features (float64), in the
    order of `columns` in the card or of the table.

    Raises
    ------
    EarshotError
        If the table can't be read, lacks a column, names a recording twice or not at all, a field of a feature is no
        finite number, or a feature is the same in all rows; the message names the line or column.
    """
    path = folder / layout.file
    table = read_table(path, list(dict.fromkeys([layout.filename, layout.label, *layout.columns])), WHERE)
    columns = _columns(layout, path, table)
    names = _names(layout, path, table)
    features = {column: numbers(path, table, column) for column in columns}
    for column, values in features.items():
        if (size := values.abs().max()) > np.finfo(np.float32).max:
            raise EarshotError(f"{path}: {column} has numbers up to {size:g}, too large to learn from")
        if values.std(ddof=0) <= VARIES:
            raise EarshotError(
                f"{path}: {column} hardly differs from row to row ({values.min():g} to {values.max():g}), so that no "
                "model can learn from it. List it under layout.leave_out in the card, or give it in a smaller unit"
            )
    found = pd.DataFrame({"label": table[layout.label], **features}, columns=["label", *columns])
    return found.set_index(pd.Index(names, name="recording"))


def _columns(layout: FeatureTable, path: Path, table: pd.DataFrame) -> list[str]:
    """Return the columns that are features."""
    other = [layout.filename, layout.label, *layout.leave_out]
    if absent := [column for column in layout.leave_out if column not in table]:
        raise EarshotError(f"{path} has no column {', '.join(absent)}, which layout.leave_out in the card names")
    if twice := [column for column in layout.columns if column in other or layout.columns.count(column) > 1]:
        raise EarshotError(f"layout.columns in the card names {twice[0]}, which it names elsewhere too")
    if layout.groups and layout.groups.file == layout.file:
        other += [layout.groups.filename, layout.groups.group, *([layout.groups.fold] if layout.groups.fold else [])]
    columns = layout.columns or [column for column in table if column not in other]
    if not columns:
        raise EarshotError(f"{path} has no column of features besides {', '.join(dict.fromkeys(other))}")
    if taken := [column for column in columns if column in TAKEN]:
        raise EarshotError(f"{path}: no feature can be called {taken[0]}. Rename it, or list it under layout.leave_out")
    return columns


def _names(layout: FeatureTable, path: Path, table: pd.DataFrame) -> pd.Series:
    """Return the name of each row's recording."""
    for column in (layout.filename, layout.label):
        missing = table[column].isna()
        if missing.any():
            raise EarshotError(f"{path}, line {missing.idxmax()}: {column} is empty")
    names = table[layout.filename]
    again = names.duplicated()
    if again.any():
        line = again.idxmax()
        first = (names == names[line]).idxmax()
        raise EarshotError(f"{path}, line {line}: {names[line]} has a row already, line {first}. Leave one of the two")
    return names


def digests(features: pd.DataFrame) -> list[str]:
    """Return the SHA-256 of each row's features (see `read`): rows with the same numbers have the same."""
    values = features.drop(columns="label").to_numpy(np.float64) + 0.0  # -0.0 is 0.0
    return [hashlib.sha256(row.tobytes()).hexdigest() for row in values]
