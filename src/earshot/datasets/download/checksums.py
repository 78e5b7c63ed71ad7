"""Checksums of files, and lists of them as `sha256sum` and `md5sum` write them."""

from __future__ import annotations

import re
from pathlib import Path

from earshot.datasets.names import plain_relative
from earshot.errors import EarshotError
from earshot.files import digest

LINE = re.compile(r"(?P<checksum>[0-9a-f]{64}|[0-9a-f]{32}) [ *](?P<name>.+)")
NAMES_SHOWN = 5


class Mismatch(Exception):
    """A folder doesn't hold the files of its list; the message names them."""


def kind_of(checksum: str) -> str:
    """Return "SHA-256" or "MD5", by the length of a checksum in hex."""
    return "SHA-256" if len(checksum) == 64 else "MD5"


def checksum_of(path: Path, kind: str) -> str:
    """Return the checksum of a file, in hex."""
    return digest(path, {"SHA-256": "sha256", "MD5": "md5"}[kind])


def fits(path: Path, checksum: str) -> bool:
    """Whether a file has a checksum, SHA-256 or MD5 in hex."""
    return checksum_of(path, kind_of(checksum)) == checksum


def read_list(path: Path) -> dict[str, str]:
    """Read `{name: checksum}` from a file that `sha256sum` or `md5sum` wrote.

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
            raise EarshotError(f"{path}, line {number}: expected 'SHA256  NAME' as sha256sum writes it, or 'MD5  NAME'")
        try:
            listed[plain_relative(match["name"])] = match["checksum"]
        except ValueError as error:
            raise EarshotError(f"{path}, line {number}: {error}") from None
    if not listed:
        raise EarshotError(f"{path} lists no file")
    return listed


def check_folder(folder: Path, expected: dict[str, str]) -> None:
    """Check that `folder` holds exactly the files of `expected`, `{name: checksum}`.

    Raises
    ------
    Mismatch
        Naming the files that are missing, too many or wrong.
    """
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    both = sorted(there & expected.keys())
    wrong = [name for name in both if not fits(folder / name, expected[name])]
    faults = {
        "missing": sorted(expected.keys() - there),
        "not in the list": sorted(there - expected.keys()),
        "wrong bytes (SHA-256 differs)": [name for name in wrong if kind_of(expected[name]) == "SHA-256"],
        "wrong bytes (MD5 differs)": [name for name in wrong if kind_of(expected[name]) == "MD5"],
    }
    if any(faults.values()):
        raise Mismatch("; ".join(f"{fault}: {_shortened(names)}" for fault, names in faults.items() if names))


def _shortened(names: list[str]) -> str:
    rest = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
