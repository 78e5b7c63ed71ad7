"""Tables that people bring along, CSV or TSV, read as the text that they are.

Nothing is guessed but how the file is stored: its encoding and its separator. `NA`, `None` and `nan` are values such as
any other, 007 keeps its zeros, and only an empty field is missing.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from earshot.errors import EarshotError

SEPARATORS = (",", ";", "\t", "|")
TABBED = (".tsv", ".tab")
BOMS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
# what else people save under the name of a CSV, by its first bytes
NO_TABLES = {
    b"PK\x03\x04": "a workbook of Excel or LibreOffice, or a zip",
    b"\xd0\xcf\x11\xe0": "a workbook of Excel",
    b"\x1f\x8b": "compressed by gzip",
    b"PAR1": "a parquet file",
    b"%PDF": "a PDF",
}
LINE_END = re.compile(r"\s*[\r\n]\s*")  # which a field in double quotes may hold
AS_TEXT = "Save it as CSV with a header, in UTF-8"


def read_table(path: Path, columns: Sequence[str], where: str, unique: Sequence[str] = ()) -> pd.DataFrame:
    """Read a table that a user wrote.

    Fields are stripped of spaces around them. The separator is a comma, semicolon, tab or `|`: the one that the
    suffix names, or that the header has the wanted columns with. The text is UTF-8, UTF-16 or else cp1252.

    Parameters
    ----------
    path : the file
    columns : those that it must have; others are read too
    where : what names the file, for errors, such as "layout.groups in the card of birds"
    unique : columns that no two rows may have alike, unless they agree in all of `columns`; of rows that agree, the
        first is kept

    Returns
    -------
    All columns with a name, as text, None where a field is empty; the index, `line`, is the line in the file

    Raises
    ------
    EarshotError
        If it is missing, is no such table, lacks a column, has no rows, or a row has more or fewer fields than the
        header; the message names the file, the line or column, and what is right.
    """
    text = _text(path, where)
    names, rows = _split(path, text, _separator(path, text, columns))
    if absent := [column for column in columns if column not in names]:
        raise EarshotError(f"{path} has no column {', '.join(absent)}; it has {', '.join(filter(None, names))}")
    if not rows:
        raise EarshotError(f"{path} is empty: a header and no rows, where {where} needs {', '.join(columns)}")
    table = pd.DataFrame(
        {name: pd.Series([fields[at] or None for fields in rows.values()], dtype=object) for at, name in _named(names)}
    )
    table.index = pd.Index(list(rows), name="line")
    return _unique(path, table, list(columns), list(unique)) if unique else table


def numbers(path: Path, table: pd.DataFrame, column: str) -> pd.Series:
    """Return a column of a table (see `read_table`) as float64; a decimal comma is understood.

    Raises
    ------
    EarshotError
        If a field is no finite number; it names the line.
    """
    texts = table[column].fillna("")
    found = pd.to_numeric(texts, errors="coerce")
    found = found.fillna(pd.to_numeric(texts.str.replace(",", "."), errors="coerce")).astype(np.float64)
    wrong = ~np.isfinite(found)
    if wrong.any():
        line = wrong.idxmax()
        raise EarshotError(f"{path}, line {line}: {column} is {texts[line]!r}, and must be a number")
    return found


def _text(path: Path, where: str) -> str:
    """Return the text of a file, whatever encoding a spreadsheet gave it."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise EarshotError(f"{path} is missing: {where} names it") from None
    except OSError as error:
        raise EarshotError(f"{path} can't be read: {error.strerror}; {where} names it") from None
    for start, kind in NO_TABLES.items():
        if content.startswith(start):
            raise EarshotError(f"{path} is {kind}, not a table as text. {AS_TEXT}")
    try:
        text = content.decode(_encoding(content))
    except UnicodeDecodeError as error:
        raise EarshotError(f"{path} is not text (byte {error.start}: {error.reason}). {AS_TEXT}") from None
    if re.search("[\0-\x08]", text):  # control characters, which no spreadsheet writes
        raise EarshotError(f"{path} is not text. {AS_TEXT}")
    if not text.strip():
        raise EarshotError(f"{path} is empty, and {where} names it. {AS_TEXT}")
    return text


def _encoding(content: bytes) -> str:
    if bom := next((bom for bom in BOMS if content.startswith(bom)), None):
        return BOMS[bom]
    if b"\0" in content[:200]:  # UTF-16 without a mark: of plain letters every other byte is zero
        return "utf-16-be" if content[0] == 0 else "utf-16-le"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return "latin-1" if set(content) & {0x81, 0x8D, 0x8F, 0x90, 0x9D} else "cp1252"  # cp1252 lacks these five
    return "utf-8"


def _separator(path: Path, text: str, columns: Iterable[str]) -> str:
    """Return the separator with which the header has the wanted columns, or else the most."""
    first = re.split(r"[\r\n]", text.lstrip(), maxsplit=1)[0]
    if first.lower().startswith("sep=") and len(first) == 5:  # a line that Excel writes and reads
        return first[4]
    separators = sorted(SEPARATORS, key=lambda one: one != "\t") if path.suffix.lower() in TABBED else SEPARATORS
    headers = {one: [name.strip() for name in _header(first, one)] for one in separators}
    return max(separators, key=lambda one: (set(headers[one]) >= set(columns), len(headers[one])))


def _header(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator, skipinitialspace=True))
    except csv.Error:
        return []  # reading the table says why


def _split(path: Path, text: str, separator: str) -> tuple[list[str], dict[int, list[str]]]:
    """Return the names of the columns, and each row that isn't blank by the line it begins in."""
    lines = _lines(path, text, separator)
    names = [LINE_END.sub(" ", name) for name in next(lines, (0, []))[1]]
    while names and not names[-1]:
        names.pop()
    if twice := sorted({name for name in names if name and names.count(name) > 1}):
        raise EarshotError(f"{path} has two columns called {twice[0]}")
    rows = {}
    for line, fields in lines:
        while len(fields) > len(names) and not fields[-1]:
            fields.pop()
        if len(fields) != len(names):
            raise EarshotError(
                f"{path}, line {line}: {len(fields)} field(s), where the header has {len(names)}. A field that holds "
                f"{_called(separator)} is written in double quotes"
            )
        rows[line] = fields
    return names, rows


def _lines(path: Path, text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line that each row begins in, and its fields; blank rows and Excel's `sep=` are passed over."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    line = 1
    try:
        for fields in reader:
            fields = [field.strip() for field in fields]
            if any(fields) and not (line == 1 and text[:4].lower() == "sep=" and not any(fields[1:])):
                yield line, fields
            line = reader.line_num + 1
    except csv.Error as error:
        raise EarshotError(f"{path}, line {line}: {error}. A double quote in a field is written twice") from None


def _called(separator: str) -> str:
    return {",": "a comma", ";": "a semicolon", "\t": "a tab"}.get(separator, f"'{separator}'")


def _named(names: list[str]) -> list[tuple[int, str]]:
    """Return the columns that have a name, with their places; pandas writes its index without one."""
    return [(at, name) for at, name in enumerate(names) if name]


def _unique(path: Path, table: pd.DataFrame, columns: list[str], keys: list[str]) -> pd.DataFrame:
    """Return the table without rows that repeat another; those that contradict one are refused."""
    kept = table[~table[columns].duplicated() | table[keys].isna().all(axis=1)]
    given = kept[kept[keys].notna().all(axis=1)]
    again = given.duplicated(keys)
    if again.any():
        line = again.idxmax()
        key = LINE_END.sub(" ", ", ".join(given.loc[line, keys]))
        first = (given[keys] == given.loc[line, keys]).all(axis=1).idxmax()
        raise EarshotError(f"{path}, line {line}: {key} has a row already, line {first}, which says otherwise")
    return kept
