"""How far a piece of work is: a bar in a terminal, nothing in a log, and lines for `earshot repro`, to draw it."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import sys
from typing import Any

from tqdm import tqdm

WATCHED = "EARSHOT_WATCHED"  # set by `earshot repro` for the stages
MARK = "earshot progress: "  # begins such a line on standard error


def bar(*arguments: Any, **settings: Any) -> tqdm:
    """Return a progress bar, given what tqdm takes; where `earshot repro` watches, one that tells it.

    Workers tell nothing: their stage knows how far all of them are.
    """
    watched = WATCHED in os.environ and multiprocessing.parent_process() is None
    return (_Told if watched else tqdm)(*arguments, **settings)


def read(line: str) -> dict[str, Any] | None:
    """Return what a line of standard error tells, or None if it is another one.

    That is a `label`, how many are `done` `of` all, `before` of them before the `seconds` that it has taken, and the
    `unit`: "B" for bytes, "it" for what has no name.
    """
    return json.loads(line.removeprefix(MARK)) if line.startswith(MARK) else None


class _Told(tqdm):
    """tqdm's counts, clock and care not to say too much, without its bar."""

    def __init__(self, *arguments: Any, **settings: Any):
        settings |= {"file": io.StringIO(), "disable": bool(settings.get("disable"))}  # None: there is no terminal
        super().__init__(*arguments, **settings)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Tell the counts, where tqdm would draw."""
        if msg == "":  # tqdm's way to take a bar away
            return
        told = {"label": self.desc, "done": self.n, "of": self.total, "before": self.initial}
        told |= {"seconds": self.format_dict["elapsed"], "unit": self.unit}
        sys.stderr.write(f"{MARK}{json.dumps(told)}\n")  # in one write, so that no line of a worker comes in between
        sys.stderr.flush()
