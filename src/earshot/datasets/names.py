"""Names of files that come from outside: from an archive, a checksum list, a card."""

from __future__ import annotations

import re
from pathlib import PurePosixPath


def plain_relative(name: str) -> str:
    """Return `name` without a leading `./`, if it is the name of a file below the folder it is used in.

    Raises
    ------
    ValueError
        If it is absolute, has a drive letter, a backslash, a `..`, a character that doesn't print (so also
        line ends, NUL and bytes that are no text), or names the folder itself.
    """
    if not name.isprintable():
        raise ValueError(f"{name!r} has a character that doesn't print")
    if "\\" in name or re.match(r"[A-Za-z]:", name):
        raise ValueError(f"'{name}' has a backslash or a drive letter")
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"'{name}' leads out of its folder")
    if not path.parts:
        raise ValueError(f"'{name}' names no file")
    return str(path)
