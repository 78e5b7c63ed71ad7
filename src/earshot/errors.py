"""Errors a user can make, which are reported in one message without a traceback.

Kept separate because every room raises `EarshotError`, and this module imports no room.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable


class EarshotError(Exception):
    """An error that the user can fix; the message names the file or key, what is wrong and what to do."""


def printable(text: str) -> str:
    """Return text with control characters as escapes: names of files and classes come from others.

    Line ends and tabs stay.
    """
    plain = (letter if letter.isprintable() or letter in "\n\t" else ascii(letter)[1:-1] for letter in text)
    return "".join(plain)


def without_traceback(main: Callable[..., None]) -> Callable[..., None]:
    """Wrap a command so that an `EarshotError` is printed to stderr and the exit code is 1."""

    @functools.wraps(main)
    def wrapped(*args, **kwargs):
        try:
            return main(*args, **kwargs)
        except EarshotError as error:
            print(printable(f"error: {error}"), file=sys.stderr)
            raise SystemExit(1) from None

    return wrapped
