"""SHA-256 of files, and lists of them as `sha256sum` writes them."""

from __future__ import annotations

import re
from pathlib import Path

from earshot.datasets.names import plain_relative
from earshot.errors import EarshotError
from earshot.files import digest

LINE = re.compile(r"(?P<sha256>[0-9a-f]{64}) [ *](?P<name>.+)")
NAMES_SHOWN = 5


class Mismatch(Exception):
    """A folder doesn't hold the files of its list; the message names them."""


def read_list(path: Path) -> dict[str, str]:
    """Read `{name: sha256}` from a file that `sha256sum` wrote.

    Raises
    ------
    EarshotError
        If the list is missing or empty, a line can't be read, or a name leads out of the dataset's folder.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise EarshotError(f"{path} is missing: the card names it as source.checksums") from None
    listed = {}
    for number, line in enumerate(lines, start=1):
        if not (match := LINE.fullmatch(line)):
            raise EarshotError(f"{path}, line {number}: expected 'SHA256  NAME' as sha256sum writes it")
        try:
            listed[plain_relative(match["name"])] = match["sha256"]
        except ValueError as error:
            raise EarshotError(f"{path}, line {number}: {error}") from None
    if not listed:
        raise EarshotError(f"{path} lists no file")
    return listed


def check_folder(folder: Path, expected: dict[str, str]) -> None:
    """Check that `folder` holds exactly the files of `expected`, `{name: sha256}`.

    Raises
    ------
    Mismatch
        Naming the files that are missing, too many or wrong.
    """
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    both = sorted(there & expected.keys())
    faults = {
        "missing": sorted(expected.keys() - there),
        "not in the list": sorted(there - expected.keys()),
        "wrong bytes (SHA-256 differs)": [name for name in both if digest(folder / name) != expected[name]],
    }
    if any(faults.values()):
        raise Mismatch("; ".join(f"{fault}: {_shortened(names)}" for fault, names in faults.items() if names))


def _shortened(names: list[str]) -> str:
    rest = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
