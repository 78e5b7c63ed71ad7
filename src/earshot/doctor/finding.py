"""What an examination has found: all is well, or what is wrong and the command that mends it."""

from __future__ import annotations

from dataclasses import dataclass

OK, WARNING, ERROR = "ok", "warning", "error"


@dataclass(frozen=True)
class Finding:
    """One line of `earshot doctor`.

    level : `OK`; `WARNING` where something is slower or left out; `ERROR` where commands will fail
    about : what was looked at
    said : what it is like
    mend : what to type or do, where all is not well
    """

    level: str
    about: str
    said: str
    mend: str = ""
