"""Names of files that come from outside: from an archive, a checksum list, a card."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from earshot.errors import EarshotError


def check_text(names: Iterable[str], where: str) -> None:
    """Check that names of files are text: tables and reports hold them in UTF-8.

    Parameters
    ----------
    names : as the system gives them, with what isn't UTF-8 as surrogates
    where : the folder and what names it, for the error

    Raises
    ------
    EarshotError
        If one is not; it says how to rename all such files.
    """
    wrong = [name for name in names if any("\ud800" <= letter <= "\udfff" for letter in name)]
    if wrong:
        shown = wrong[0].encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        raise EarshotError(
            f"{where}: the name of {len(wrong)} file(s) is not in UTF-8, such as {shown}. Rename them; "
            "`convmv -r -f latin1 -t utf8 --notest FOLDER` does it for names in Latin-1"
        )


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
