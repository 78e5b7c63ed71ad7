"""Tables that people bring along, CSV or TSV, read as the text that they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from earshot.errors import EarshotError


def read_table(path: Path, columns: Sequence[str], where: str) -> pd.DataFrame:
    """Read a table that a user wrote: `NA` is a value such as any other, and only an empty field is missing.

    Parameters
    ----------
    path : the file
    columns : those that it must have; others are read too
    where : what names the file, for errors

    Returns
    -------
    All columns as text, None where a field is empty; the index, `line`, is the line in the file

    Raises
    ------
    EarshotError
        If it is missing, can't be read, or lacks a column.
    """
    separator = "\t" if path.suffix.lower() in (".tsv", ".tab") else ","
    try:
        table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except FileNotFoundError:
        raise EarshotError(f"{path} is missing: {where} names it") from None
    except ValueError as error:
        raise EarshotError(f"{path} is not a table: {error}") from None
    if absent := [column for column in columns if column not in table]:
        raise EarshotError(f"{path} has no column {', '.join(absent)}; it has {', '.join(table.columns)}")
    table.index = pd.RangeIndex(2, len(table) + 2, name="line")
    return table.astype(object).where(table != "", None)


def numbers(path: Path, table: pd.DataFrame, column: str) -> pd.Series:
    """Return a column of a table (see `read_table`) as float64.

    Raises
    ------
    EarshotError
        If a field is no finite number; it names the line.
    """
    found = pd.to_numeric(table[column].fillna(""), errors="coerce").astype(np.float64)
    wrong = ~np.isfinite(found)
    if wrong.any():
        line = wrong.idxmax()
        raise EarshotError(f"{path}, line {line}: {column} is '{table[column].fillna('')[line]}', and must be a number")
    return found
