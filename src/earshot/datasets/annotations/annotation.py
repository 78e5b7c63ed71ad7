"""An annotation, and what all formats share: reading the text and checking the fields of a row."""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from earshot.errors import EarshotError

LINE_END = re.compile(r"\r\n|\r|\n")
BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@dataclass(frozen=True)
class Annotation:
    """An event of a recording as a label file has it.

    start, end : seconds from the recording's beginning; equal for a point in time
    label : never empty
    file : the recording's name, where the format has one
    low, high : its lowest and highest frequency in Hz, where they are known
    score : how sure a model is of it, from 0 to 1
    line : where it was read; two annotations are equal wherever they were
    """

    start: float
    end: float
    label: str
    file: str | None = None
    low: float | None = None
    high: float | None = None
    score: float | None = None
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Labels:
    """The contents of a label file.

    events : in the order of the file
    silent : the files that it lists without an event, each with the line
    """

    events: list[Annotation]
    silent: dict[str, int] = field(default_factory=dict)


def text(path: Path) -> str:
    """Return the text of a label file: UTF-8, UTF-16, or else cp1252, as editors and spreadsheets save it.

    Raises
    ------
    EarshotError
        If it can't be read, or is no text.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise EarshotError(f"{path} can't be read: {error.strerror}") from None
    encoding = next((BOMS[bom] for bom in BOMS if content.startswith(bom)), "utf-8")
    try:
        found = content.decode(encoding)
    except UnicodeDecodeError:
        found = content.decode("cp1252", "replace")
    if "\0" in found:
        raise EarshotError(f"{path} is not text, and a label file must be")
    return found


def rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the fields of each line that isn't blank; fields are separated by TABs."""
    for number, line in enumerate(LINE_END.split(text(path)), 1):
        if line.strip():
            yield number, [part.strip() for part in line.split("\t")]


def table(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the number and the fields, by column, of each row of a TSV with a header; a missing field is empty.

    Raises
    ------
    EarshotError
        If the header lacks one of `columns`, or a row has more fields than it.
    """
    lines = rows(path)
    _, header = next(lines, (0, []))
    names = [unquoted(name) for name in header]
    if absent := [name for name in columns if name not in names]:
        has = ", ".join(names) or "nothing"
        raise EarshotError(f"{path}, line 1: has no column {', '.join(absent)}, separated by TABs; it has {has}")
    for number, fields in lines:
        if any(fields[len(names) :]):
            raise EarshotError(f"{path}, line {number}: {len(fields)} fields, where the header has {len(names)}")
        padded = [unquoted(part) for part in fields] + [""] * (len(names) - len(fields))
        yield number, dict(zip(names, padded, strict=False))


def unquoted(part: str) -> str:
    """Return a field without the double quotes that a spreadsheet puts around one."""
    quoted = len(part) > 1 and part[0] == part[-1] == '"'
    return part[1:-1].replace('""', '"') if quoted else part


def is_number(part: str) -> bool:
    """Return whether a field is a finite number; a decimal comma is understood."""
    try:
        return math.isfinite(float(part.replace(",", ".")))
    except ValueError:
        return False


def number(where: str, name: str, part: str) -> float:
    """Return a field as a number.

    Raises
    ------
    EarshotError
        If it is none; `where` names the file and the line.
    """
    if not is_number(part):
        raise EarshotError(f"{where}: {name} is {part!r}, and must be a number")
    return float(part.replace(",", "."))


def optional(where: str, name: str, part: str | None) -> float | None:
    """Return a field as a number, or None where it is empty or negative, as an unknown frequency is."""
    found = number(where, name, part) if part else None
    return None if found is None or found < 0 else found


def annotation(
    path: Path,
    line: int,
    start: str,
    end: str,
    label: str,
    *,
    file: str | None = None,
    low: str | None = None,
    high: str | None = None,
    score: str | None = None,
) -> Annotation:
    """Return the annotation that the fields of a row make.

    Raises
    ------
    EarshotError
        If one of them is wrong: names the file, the line, the field and what is right.
    """
    where = f"{path}, line {line}"
    begins, ends = number(where, "the start", start), number(where, "the end", end)
    if begins < 0:
        raise EarshotError(f"{where}: the start is {begins:g}, and must be 0 s or more")
    if ends < begins:
        raise EarshotError(f"{where}: the end, {ends:g}, must not be before the start, {begins:g}")
    if not label:
        raise EarshotError(f"{where}: the label is empty, and must name a class")
    return Annotation(
        begins,
        ends,
        label,
        file or None,
        optional(where, "low", low),
        optional(where, "high", high),
        optional(where, "score", score),
        line,
    )
