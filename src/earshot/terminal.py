"""Tables in the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pandas.api.types import is_numeric_dtype
from rich import box
from rich.console import Console
from rich.table import Table

from earshot.errors import printable

if TYPE_CHECKING:
    import pandas as pd

PLAIN_WIDTH = 100  # columns where the output is not a terminal


def print_frame(title: str, frame: pd.DataFrame) -> None:
    """Print a table as it stands; four digits of fractions, and of dotted names the last part."""
    table = empty_table(title)
    for name in frame:
        table.add_column(name.split(".")[-1], justify="right" if is_numeric_dtype(frame[name]) else "left")
    for row in frame.itertuples(index=False):
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else printable(str(value)) for value in row))
    console().print(table)


def console() -> Console:
    """Return a console that takes no text for markup: names come from the user's folders."""
    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    return Console(width=width, markup=False, emoji=False, highlight=False, soft_wrap=False)


def empty_table(title: str | None) -> Table:
    """Return a table without columns, in the one style that all have."""
    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=0, show_edge=False)
